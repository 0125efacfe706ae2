# --chat answers each line, remembers, and starts anew after /reset: the same line then gets the same first reply only by chance of the
# turn number, so the number of lines is what is checked, and that two runs agree.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
printf 'hello\n\nand then?\n/reset\nhello\n/quit\nnever read\n' >lines
generate -q --model m --chat --temperature 0 --max-tokens 3 <lines >one
generate -q --model m --chat --temperature 0 --max-tokens 3 <lines >two
cmp one two
[ "$(head -c 3 one | wc -c)" -eq 3 ]
python3 - <<'END'
text = open("one", "rb").read()
half = text[: text.index(b"\n")]
assert text.count(half) >= 2, "greedy replies to the same first message differ after /reset"
END
echo done
