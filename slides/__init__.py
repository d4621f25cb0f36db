"""The lecturer's decks, and what makes their figures: measure (`record`), then draw (`figures`)."""
