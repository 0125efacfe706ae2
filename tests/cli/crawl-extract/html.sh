# Bare HTML files and folders of them.
mkdir site
printf '<title>B</title><p>Second page, with a few words of text.' >site/b.html
printf '<title>A</title><p>First page, with a few words of text.' >site/a.htm
printf 'not a page' >site/notes.txt
crawl-extract -q --html site site/b.html -o out.jsonl
cat out.jsonl
crawl-extract -q --html <site/b.html | shard-cat | grep -o '"id":"stdin"'
