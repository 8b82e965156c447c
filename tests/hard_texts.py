"""Texts that programs get wrong: of many scripts, of characters made of several, in both directions."""

from typing import Final

HARD: Final = {
    "combining marks": "e\u0301 a\u0308\u0323 n\u0303 Z\u0351\u036b\u0343\u036a\u0302",
    "Hebrew": "שלום עולם",
    "Hebrew with points": "שָׁלוֹם",
    "Arabic": "السلام عليكم ﷺ",
    "Persian with ZWNJ": "می\u200cخواهم",  # noqa: RUF001
    "isolates": "see \u2067שלום\u2069 there",  # noqa: RUF001
    "Hindi": "नमस्ते क्षत्रिय क्\u200dष",
    "Bengali": "আমি বাংলায় গান গাই",
    "Tamil": "தமிழ் மொழி",
    "Malayalam": "മലയാളം",
    "Sinhala": "ශ්\u200dරී ලංකා",
    "Thai": "ที่นี่กำลังดี",
    "Lao": "ສະບາຍດີ",
    "Khmer": "សួស្តី",
    "Burmese": "မင်္ဂလာပါ",
    "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།",
    "Chinese": "漢字，全角字符",  # noqa: RUF001
    "Japanese": "日本語のﾃｷｽﾄ\u3000です",
    "Korean": "안녕하세요",
    "Korean in parts": "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "Amharic": "ሰላም ልዑል",
    "Cherokee": "ᎣᏏᏲ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ",
    "Georgian": "გამარჯობა",
    "Armenian": "Բարեւ",
    "Greek": "Γειά σου Ὀδυσσεύς",  # noqa: RUF001
    "Russian": "Съешь ещё",
    "Vietnamese": "Tiếng Việt phức tạp",
    "a family": "👨\u200d👩\u200d👧\u200d👦",
    "skin": "👍🏽 👩🏿\u200d🚀",
    "flags": "🇩🇪🇯🇵 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a rainbow": "🏳\ufe0f\u200d🌈",
    "presentation": "❤\ufe0f ❤\ufe0e 1\ufe0f\u20e3",
    "mathematics": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ∀x∈ℝ",  # noqa: RUF001
    "hieroglyphs": "𓂀𓃭",
    "a narrow blank": "Bonjour\u202f! 10\u00a0km",
    "markup": "[bold red]no[/] <b>&amp;</b> $accent {x} \\n",
}
