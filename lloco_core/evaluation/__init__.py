"""What an answer, an encoder, or a model is worth: measures, intervals, data sets, needles, perplexity.

Start reading at `scoring` (measures of answers) and `intervals`. Only `continuation` and `asking` know an encoder.
"""
