"""What a hostile row may hold: sequences that write to the clipboard, repaint the screen, or crash a markup parser."""

from __future__ import annotations

PAYLOADS = (
    "\x1b[2J\x1b[H",  # erase the screen
    "\x1b]52;c;cm0gLXJmIC8=\x07",  # write to the clipboard
    "\x1b]52;c;cm0gLXJmIC8=\x1b\\",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",  # a link that shows another text
    "\x1b]0;title\x07",
    "\x1b]9;notice\x07",
    "\x1b]1337;File=:AAAA\x07",  # an inline image
    "\x1bc",  # reset the terminal
    "\x1bPq#0\x1b\\",  # device control: sixel
    "\x1b[?1049l\x1b[?25h",  # leave the alternate screen
    "\x1b[6n",  # a question that the terminal answers into our input
    "\x1b[31mred\x1b[0m",
    "a\x00b",
    "bell\x07",
    "back\x08\x08\x08space",
    "carriage\rreturn",
    "shift\x0eout",
    "del\x7fete",
    "\x9b2J",  # the 8-bit forms
    "\x9d52;c;QQ==\x9c",
    "right\u202eto left",
    "zero\u200bwidth",
    "iso\u2066lated\u2069",
    "line\u2028separator",
    "lone \ud83d surrogate",
    "tag\U000e0041ged",
)
MARKUP = ("[bold]x", "[@click=app.bell]x[/]", "[/foo]x", '[a="zz', "x[0] [INST] zz [/INST]", "<<SYS>> [/]")
"""Text that means something to a markup parser; data rows of Llama-2 chats hold it."""
