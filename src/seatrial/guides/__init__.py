"""Porting guides of others, read as text: what a folder says of its model, and where that contradicts itself."""

from seatrial.guides.draft import DraftedCard, check_folder, draft_card

__all__ = ["DraftedCard", "check_folder", "draft_card"]
