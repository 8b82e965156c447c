"""All that is known of one message."""

from roost.cli.chat.view.harmless import on_screen
from roost.cli.chat.view.words import size_of, ticks
from roost.cli.moments import local
from roost.client import Message
from roost.client.filenames import safe_name


def details(message: Message) -> str:
    """Return it as lines."""
    lines = [
        f"Message   {message.id}",
        f"From      {'you' if message.mine else message.author}, device {message.device}",
        f"Written   {_moment(message.sent_at_ms)}, by their clock",
        f"Accepted  {_moment(message.at_ms)}, by the server's",
    ]
    if message.state is not None:
        lines.append(f"State     {ticks(message)}")
    if message.edited_at_ms is not None:
        lines.append(f"Edited    {_moment(message.edited_at_ms)}")
    if message.expires_at_ms is not None:
        lines.append(f"Until     {_moment(message.expires_at_ms)}")
    if message.file is not None:
        lines.append(f"File      {safe_name(message.file.name)}, {size_of(message.file.size)}")
        lines.append(f"Type      {message.file.type}, as its sender says")
    lines += [f"Reaction  {emoji}  {', '.join(people)}" for emoji, people in message.reactions.items()]
    return on_screen("\n".join(lines))


def _moment(at_ms: int) -> str:
    return f"{local(at_ms):%Y-%m-%d %H:%M:%S}"
