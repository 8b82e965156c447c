"""A gateway's side of its links to the hosts: streams attached, questions asked and answered."""

from api.host_links.attachments import Attachments, Streamed
from api.host_links.links import HostLinks
from api.host_links.questions import Questions

__all__ = ["Attachments", "HostLinks", "Questions", "Streamed"]
