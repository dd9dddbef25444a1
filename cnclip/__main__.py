"""`python -m cnclip VERB …` and `accelerate launch -m cnclip train RECIPE.yaml`."""

from cnclip.commands import run

if __name__ == "__main__":
    run()
