"""What every key does."""

from typing import Final

HELP: Final = """\
Anywhere
  F1            this help                 F2        conversations
  F3            search                    F4        send a file
  F5            disappearing messages     F6        safety number
  F7            your devices, linking     F8        block, unblock
  Ctrl+N        a new conversation        Ctrl+P    everything, by name
  Ctrl+Up/Down  the one above, below      Ctrl+Q    quit (as Ctrl+C does)
  Tab, Shift+Tab  to the next part, the one before

Writing
  Enter         send                      Alt+Enter, Ctrl+J   a new line
  Up            to the messages           Page Up, Page Down  scroll them
  Esc           no reply, no edit

Messages
  Up, Down      choose one                Enter, r  reply
  a             react                     e         edit yours
  d             delete yours for both     s, o      save, open its file
  y             copy its text             i         all that is known of it
  Esc           back to writing

Conversations
  Up, Down, Enter   open one              n         a new one

✓ sent: the server has it. ✓✓ delivered: a device of theirs has it.
✓✓ read: they have seen it. ○ ● away, here. ! something is the matter
with their keys: see F6.
"""
