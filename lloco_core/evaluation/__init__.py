"""What an answer, an encoder, or a model is worth: measures, intervals, data sets, needles, perplexity.

Start reading at `scoring` (measures of answers) and `intervals`. Nothing here knows an encoder but `continuation`.
"""
