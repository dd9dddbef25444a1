"""What a model does when a caption is written differently, and whether it notices what a caption says.

Two questions on any store: `robustness` rewrites captions so that they still ask for the same picture and
measures the recall that is lost; `composition` changes what they say and counts how often the true caption
still scores higher.
"""
