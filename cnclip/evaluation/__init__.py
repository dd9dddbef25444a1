"""Measuring a model: embeddings, retrieval recall, zero-shot accuracy, and the reports that show them.

embed       pictures and captions -> unit float32 rows with their ids
cache       those rows as a fingerprinted folder that is used again only for the same model and data
rows        checks and exact scores of unit-length rows (numpy only)
retrieval   rows -> ranks -> recall@K in both directions, with its chance level (numpy only)
evaluate    a model and a store -> RetrievalResult: the one call of a validation during training
classes     class-name files, template files, label files
labelled    pictures with their class: a tree of class folders, or a store and a label file
zeroshot    class names and templates -> classifier -> accuracies
examples    the queries that a report shows with their pictures
report      tables as text and Markdown, and the content of results.json
page        the same as a web page in one file that needs no network
"""
