"""The texts of the golden set: seeded generators beside a list of cases thought of one by one."""

import random
import sys
import unicodedata

WORDS = """red blue green black white leather cotton wool linen silk denim running shoe sneaker boot sandal dress shirt
jacket coat hoodie jeans skirt summer winter kids women men's women's waterproof vintage floral striped plain organic
milk bread cheese apple banana coffee tea chocolate 500g 1kg 2L 250ml pack of bottle jar tin fresh frozen spicy sweet
don't it's we're I've they'll I'm she'd size XL XXL M 42 10.5 3/4 50% -20% $19.99 €5 £3.50 #1 A4 USB-C Wi-Fi 4K""".split()

HANDMADE = """
a photo of a cat|A PHOTO OF A CAT|  leading and trailing  |tabs\tand⏎lines\r⏎and\rmore|\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0
don't|DON'T|don’t|it‘s|'s's's|'S 'T 'RE 'VE 'M 'LL 'D|'\u017f|''''|' s|we'll've|rock 'n' roll
café|cafe\u0301|CAFÉ|naïve façade|Ångström|ÅNGSTRÖM|straße STRASSE|İstanbul ıstanbul I|ΣΊΣΥΦΟΣ ΟΔΟΣ|ĲSSEL ǅ ŉ
👍|👍🏽|👨‍👩‍👧‍👦|🏴󠁧󠁢󠁷󠁬󠁳󠁿|🇩🇪🇫🇷|☺️|❤️‍🔥|1️⃣|🙂🙃😀😃😄|a😀b|😀 sale! 😀
你好，世界|日本語のテキスト|한국어 텍스트|カタカナ|ｶﾀｶﾅ|ﾊﾝｶｸ ﾞ|ＦＵＬＬ　ＷＩＤＴＨ　１２３|￥１００|ไทย|हिन्दी|العربية ١٢٣|עברית|Русский ТЕКСТ|Ελληνικά|ქართული|አማርኛ
&amp;|&amp;amp;|&amp;amp;amp;|&amp;amp;amp;amp;|&lt;b&gt;bold&lt;/b&gt;|<b>bold &amp; &eacute;</b>|&eacute;&Eacute;&EACUTE;|&NTILDE; &nTILDE;|&notit; &notin;
&amp|&amp x|&ampx|&copy2024|&copy;|&hearts;|&#233;|&#xE9;|&#XE9;|&#233|&#xE9 x|&#0;|&#x0;|&#128;|&#x80;|&#x81;|&#xD800;|&#x110000;|&#99999999999;|&#;|&#x;|&#xg;|&;|&
&#59;|&semi;|&#13;|&#10;|&#x2028;|&#150;|&#x1F600;|&nbsp;x|&zwj;|&NotEqualTilde;|&CounterClockwiseContourIntegral;|&szlig;&SZLIG;|&fflig;|&#xFEFF;x|&#x85;
P&EACUTE;REZ|this&not that|AT&T|Q&A|a&b;c|&lt &gt|&LT;&GT;|&Jscr;ohn &HilbertSpace;ancock|&lt;3|<3 &amp; more⏎next &amp;amp; line|first &amp;amp;⏎<second &amp;amp;⏎third &amp;amp;
schÃ¶n|sÃ³|voilÃ  le travail|Ã la mode|â€œquotedâ€\x9d|â€œquotedâ€\ufffd|itâ€™s|donâ€™t|âœ” No problems|l’humanitÃ©|Ã©|Ã|Â£5|Â© 2020|Ã¢â‚¬â„¢|ÃƒÂ©
РїСЂРёРІРµС‚|РџСЂРѕРІРµСЂРєР°|Î•Î»Î»Î·Î½Î¹ÎºÎ¬|æ—¥æœ¬èªž|ä½ å¥½|ðŸ˜€|ðŸ‘\x8d|\xed\xa0\xbd\xed\xb8\x8d|\xc0\x80|√©t√©|‚Äúhi‚Äù|├⌐|Nicolás|â€¦|Ã±andÃº|fÃ cil|às Ã s
The Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t have eyebrows.|HÃƒÂ´tel|Ã bientÃ´t|L’Ã©pÃ©e|cafÃ© cafÃ©|paciÃ³n â€“ okâ€¦|\x91single\x92 \x93double\x94|caf\x8e|x\x85y|\x80 100|×²|œ1
ﬁne ﬂow oﬃce ﬆ ﬅ|…|―—–-|“curly” ‘single’ „low‟ ‛x|º ª ¹²³ ¼ ½|№ ™ ® © ℃|x² + y² = z²|½ cup|１２３|Ⅷ Ⅸ|①②③|٣٤٥
\x1b[31mred\x1b[0m|\x1b[1;32mbold|\x1b[K|a\x00b|\x7f|\u200bzero\u200bwidth|\u200e\u200f\u202atext\u202c|\ufeffbom|\ufffc|\u206a|\ufff9a\ufffab\ufffb|soft\u00adhyphen|\u2060
a\u0300\u0301\u0302|e\u0301\u0323|q\u0307\u0323|\u0344|\u1100\u1161\u11a8|\u212b|\u2126|ﷺ|ﬀﬃ|ẛ̣|Å|\u0958|\U0001d15e
https://example.com/a?b=1&c=2&amp;d=3|mail@example.com|C:\\\\path\\\\file.txt|{"json": [1, 2]}|<html><body>&nbsp;</body></html>|SELECT * FROM t;--|../../etc/passwd|%00%0a|${jndi}|🛒+1
0|00|007|1,000.50|10x20cm|3.14159|2024-01-01|12:30|+49 30 123|50%|#hashtag|@name|snake_case|camelCase|kebab-case|__init__|a.b.c|...|!!!|?!|—|_|~|`|^|\\\\
supercalifragilisticexpialidocious|pneumonoultramicroscopicsilicovolcanoconiosis|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|ababababababab|zzzzzzzzzzzzzzz|hahahahaha|lollollol|mississippi|tattarrattat|ththththth
""".strip("\n")


def handmade():
    cases = [case for line in HANDMADE.split("\n") for case in line.split("|") if case]
    # The bar separates cases above, so what holds one is written here.
    cases += ["<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b", "<|STARTOFTEXT|>", "<|startoftext|><|endoftext|>"]
    cases += ["< |startoftext| >", "&lt;|endoftext|&gt;", "&amp;lt;|startoftext|&amp;gt;", "＜｜ｅｎｄｏｆｔｅｘｔ｜＞"]
    cases += ["<|\u017ftartoftext|>", "<|endoftext|>'s", "x<|startoftext|>5", "|a|b|", "<|endoftext|", "<||>", "|||"]
    cases += ["", " ", "\n", "\t \r\n", "\x00", "&#32;", "&nbsp;", "\u3000", "&#x3000;"]
    return [case.replace("\\\\", "\\").replace("⏎", "\n") for case in cases]


def long_texts(rng):
    yield "word " * 400
    yield "a" * 3000
    yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4000))
    yield "ab" * 2000
    yield "日本" * 600
    yield "😀" * 500
    yield "1" * 300
    yield "!" * 1000
    yield "é " * 300
    yield "Ã© " * 300
    yield "&amp;" * 400
    yield "&" + "amp;" * 12 + "lt;b"
    yield " ".join(rng.choice(WORDS) for _ in range(3000))
    for length in (70, 72, 74, 75, 76, 77, 78, 80):
        yield " ".join(["cat"] * length)


CHARMAPS = """latin-1 sloppy-windows-1252 sloppy-windows-1251 sloppy-windows-1250 sloppy-windows-1253
sloppy-windows-1254 sloppy-windows-1257 iso-8859-2 macroman cp437""".split()
ACCENTED = "schön garçon niño Überraschung łódź český Ελλάδα привет “quoted” it’s naïve – dash… €5 £3 日本 你好 😀 àla š ž é".split()


def _mojibake(rng):
    text = " ".join(rng.choice(ACCENTED + WORDS[:20]) for _ in range(rng.randint(1, 5)))
    for _ in range(rng.choice((1, 1, 1, 2))):
        text = text.encode("utf-8").decode(rng.choice(CHARMAPS), "replace")
    damage = rng.random()
    if damage < 0.15:
        text = text.replace("\xa0", " ")
    elif damage < 0.25 and text:
        place = rng.randrange(len(text))
        text = text[:place] + "\ufffd" + text[place + 1 :]
    elif damage < 0.4:
        text += " " + rng.choice(ACCENTED)
    return text


def _assigned(rng, low, high):
    while True:
        char = chr(rng.randint(low, high))
        if unicodedata.category(char) not in ("Cn", "Cs", "Co"):
            return char


BLOCKS = [(0x20, 0x7E), (0xA0, 0xFF), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0xDFF), (0x1E00, 0x2BFF)]
BLOCKS += [(0x3000, 0x9FFF), (0xAC00, 0xD7A3), (0xFB00, 0xFFEF), (0x1F300, 0x1FAFF), (0x10000, 0x1FFFF), (0x00, 0x1F)]


def _scripts(rng):
    pieces = []
    for _ in range(rng.randint(1, 6)):
        low, high = rng.choice(BLOCKS)
        pieces.append("".join(_assigned(rng, low, high) for _ in range(rng.randint(1, 8))))
    return rng.choice(("", " ")).join(pieces)


def _products(rng):
    words = [rng.choice(WORDS) for _ in range(rng.randint(1, 14))]
    style = rng.choice((str, str, str.upper, str.title, str.capitalize))
    return style(rng.choice((" ", " ", ", ", " - ", "  ")).join(words))


ENTITIES = "&amp; &lt; &gt; &quot; &#39; &nbsp; &eacute; &EACUTE; &euro; &#8364; &#x20AC; &hellip; &rsquo; &copy &reg &frac12; &amp;amp; &amp;eacute; &bogus; &lt".split()


def _entities(rng):
    pieces = [rng.choice(ENTITIES + WORDS[:15] + ["<b>", "\n"]) for _ in range(rng.randint(1, 8))]
    return rng.choice(("", " ")).join(pieces)


def _bytes(rng):
    return bytes(rng.randint(1, 255) for _ in range(rng.randint(1, 24))).decode(rng.choice(CHARMAPS[:2]))


def _mixed(rng):
    makers = (_products, _scripts, _entities, _mojibake)
    return rng.choice((" ", "", "\n")).join(rng.choice(makers)(rng) for _ in range(rng.randint(2, 4)))


def texts(seed=20260101):
    import ftfy.bad_codecs  # registers the sloppy codecs

    ftfy.bad_codecs.ok()
    rng = random.Random(seed)
    found = dict.fromkeys([*handmade(), *long_texts(rng)])
    for maker, count in ((_products, 700), (_scripts, 900), (_entities, 500), (_mojibake, 900), (_bytes, 300), (_mixed, 500)):
        found.update(dict.fromkeys(maker(rng) for _ in range(count)))
    return list(found)


if __name__ == "__main__":
    print(len(texts()), file=sys.stderr)
