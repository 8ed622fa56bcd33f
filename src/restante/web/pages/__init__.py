"""The pages: what a person sees and does with a browser. They are whole without scripts, which make them livelier."""
