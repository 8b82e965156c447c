"""What is said about messages: reactions, edits and deletions, before their message comes or after.

Pure. What another device says counts from when it is known here, and so does what this one says; but until
the server has accepted that, it is the last that was said, since that is when others will see it, and it can
still be refused: then it is as if it had not been said.
"""

from msgspec import Struct, field, structs

from roost.client.content import Content, Delete, Edit, Reaction

Remark = Reaction | Edit | Delete


def about(content: Content) -> str | None:
    """Return the id of the message that this content is about; None if it is a message of its own."""
    match content:
        case Reaction(to=target) | Edit(of=target) | Delete(of=target):
            return target
        case _:
            return None


def turned_to(remark: Remark, message_id: str) -> Remark:
    """Return the same about another id."""
    if isinstance(remark, Reaction):
        return structs.replace(remark, to=message_id)
    return structs.replace(remark, of=message_id)


class Proposed(Struct):
    """What this device says, and the server has not accepted yet."""

    id: str
    remark: Remark
    at_ms: int


class Remarks(Struct):
    """What is said about the messages with one id.

    Attributes:
        reactions: The last of each person, empty if it was taken away.
        edits: The last of each person: text, and when.
        deleted: Who has deleted the message.
        proposed: What this device says, in order, and is not accepted.
    """

    reactions: dict[str, str] = field(default_factory=dict)
    edits: dict[str, tuple[str, int]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    proposed: list[Proposed] = field(default_factory=list)

    def note(self, author: str, remark: Remark, at_ms: int) -> None:
        """Take in what one of the two has said."""
        match remark:
            case Reaction(emoji=emoji):
                self.reactions[author] = emoji
            case Edit(text=text):
                self.edits[author] = (text, at_ms)
            case Delete():
                self.deleted.add(author)

    def withdraw(self, remark_id: str) -> Proposed | None:
        """Take back what is not accepted; None: it is not among that."""
        found = next((each for each in self.proposed if each.id == remark_id), None)
        if found is not None:
            self.proposed.remove(found)
        return found

    def join(self, before: "Remarks", me: str) -> None:
        """Take over what was said while one's own message had another id."""
        self.reactions.update(before.reactions)
        if me in before.edits:
            self.edits[me] = before.edits[me]
        self.deleted |= before.deleted & {me}
        self.proposed += before.proposed

    def standing(self, me: str) -> "Remarks":
        """Return all that counts now."""
        if not self.proposed:
            return self
        found = Remarks(dict(self.reactions), dict(self.edits), set(self.deleted))
        for each in self.proposed:
            found.note(me, each.remark, each.at_ms)
        return found
