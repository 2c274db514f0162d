"""A web page that shows what a trained model says about a picture."""
