"""Reports as data: chapters of paragraphs, tables, charts and galleries in Chinese and English."""
