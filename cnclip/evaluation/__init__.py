"""Measuring a model: embeddings, retrieval, zero-shot, few-shot, robustness, and the reports that show them.

embed, shared_embed    pictures and captions -> unit float32 rows with their ids, by one process or several
cache                  those rows as a folder that is used again for the same model and data only
rows, pair_ranks       checks and exact scores of unit-length rows, exact ranks (numpy only)
retrieval              rows -> ranks -> recall@K, MRR, mAP, nDCG both ways (query_metrics)
statistics             bootstrap by groups of queries, paired differences, McNemar's test (uncertainty)
evaluate               a model and a store -> RetrievalResult: the one call of a validation during training
cn_clip_files          Chinese-CLIP's counting and its files; submission, leaderboard
classes, labelled      class names, templates, label files; pictures with their class (class_folders)
zeroshot               class names and templates -> accuracies (class_metrics, multilabel, calibration)
elevater               the 20 data sets and ImageNet-1K with their own metrics and files
probe                  linear probe, kNN, prototypes, Tip-Adapter, prompt learning over K shots
perturb                captions written differently, and captions false by one detail
benchmarks, published  benchmarks as YAML, and the rows that others published
report, page, examples tables, results.json, and a web page in one file that needs no network
"""
