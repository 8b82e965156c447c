"""What a client keeps in SQLite: the only door to that driver.

``database`` is the file and its thread, ``schema`` its tables, ``profile_rows`` the profile in them.
``history`` is what was said: ``records`` writes it, ``pages`` reads it, ``words`` searches it.
"""

from roost.client.store.history import History
from roost.client.store.pages import Conversation, Page

__all__ = ["Conversation", "History", "Page"]
