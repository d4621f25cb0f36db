"""What a student does in each week's notebook, one file a week.

``CELLS`` maps a cell to its source: a guess is added after the question, an answer replaces it.
"""
