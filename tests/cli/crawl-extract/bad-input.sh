# Damaged and unsuitable inputs: one line that says what and where, exit code 1, and no output file.
warc="$GRISTMILL_TESTDATA/web/mill.warc.gz"
refuse() {  # WANTED-CODE PATTERN COMMAND…
  local wanted=$1 pattern=$2 code=0
  shift 2
  "$@" -o out.jsonl.zst 2>message || code=$?
  [ "$code" -eq "$wanted" ] || { echo "exit code $code of: $*"; cat message; exit 1; }
  grep -q -- "$pattern" message || { echo "message of: $*"; cat message; exit 1; }
  [ "$(grep -c . message)" -eq 1 ] || { echo "more than one line: $*"; cat message; exit 1; }
  [ ! -e out.jsonl.zst ] || { echo "an output is left: $*"; exit 1; }
}
head -c -30 "$warc" >cut.warc.gz
refuse 1 'damaged gzip member in cut.warc.gz' crawl-extract -q cut.warc.gz
zcat "$warc" >whole.warc
head -c 1500 whole.warc >cut.warc
refuse 1 'cut.warc ends inside the record' crawl-extract -q cut.warc
: >empty
refuse 1 'empty is empty' crawl-extract -q empty
echo '<html>' >page.html
refuse 1 'page.html is no WARC file' crawl-extract -q page.html
refuse 1 'absent.warc' crawl-extract -q absent.warc
refuse 2 '' crawl-extract -q --lang-share 2 page.html
# A neighbour in the pipe notices that there is no trailer.
code=0
crawl-extract -q cut.warc.gz 2>/dev/null | shard-cat --check >/dev/null 2>&1 || code=$?
[ "$code" -eq 1 ]
code=0
crawl-extract -q "$warc" -o /dev/full 2>message || code=$?
[ "$code" -eq 1 ]
grep -q '/dev/full' message
