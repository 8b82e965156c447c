"""The project's texts, and what generates the parts of them that come from code."""
