import RelayCore
import Testing

@Suite struct WordSearchTests {
    @Test(arguments: [
        ("anna@example.com", ["anna", "example", "com"]), ("Order No. 4711", ["order", "no", "4711"]),
        ("CAFÉ Zu\u{308}rich", ["cafe", "zurich"]), ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]), ("İstanbul", ["istanbul"]),
        // Marks that distinguish letters stay, and so do letters that become two in upper case.
        ("ガス", ["ガス"]), ("straße", ["straße"]), ("한국", ["한국"]),
        ("\u{301}", []), ("“ ”…", []), ("", []), ("a\u{0}b", ["a", "b"]), ("it's", ["it", "s"]), ("½ ²", ["½", "²"]),
    ]) func wordsAreLettersAndDigitsWithoutCaseAndAccents(_ text: String, _ words: [String]) {
        #expect(WordSearch.words(in: text) == words)
    }

    @Test func longWordIsTruncatedBetweenCharacters() {
        let words = WordSearch.words(in: String(repeating: "漢", count: 5000) + " end")
        #expect(words == [String(repeating: "漢", count: 333), "end"])
    }

    @Test func searchPiecesArePhrasesAndMayEndInAPrefix() throws {
        let search = try #require(WordSearch("anna@exam* \"order\" … or*"))
        #expect(search.pieces.map(\.words) == [["anna", "exam"], ["order"], ["or"]])
        // A beginning of two letters would match half of all words.
        #expect(search.pieces.map(\.isBeginning) == [true, false, false])
    }

    @Test(arguments: ["", " ", "*", "\u{301}", "\"\"", "@ ."]) func textWithoutLettersOrDigitsIsNoSearch(_ text: String)
    {
        #expect(WordSearch(text) == nil)
    }

    @Test func longSearchTextIsTruncated() throws {
        #expect(try #require(WordSearch(String(repeating: "a ", count: 10_000))).pieces.count == 20)
        let beginnings = try #require(WordSearch("aaa* bbb* ccc*")).pieces.map(\.isBeginning)
        #expect(beginnings == [true, true, false])
        #expect(WordSearch(String(repeating: "a", count: 10_000))?.pieces.first?.text.count == 200)
    }

    @Test func everySearchPieceMustMatchWithinOneText() throws {
        let texts = ["anna@example.com", "bob@shop.example", "Your order 4711"]
        for found in ["anna", "4711 bob", "order 4711", "ord*", "example.com*", "bob@shop"] {
            #expect(try #require(WordSearch(found)).finds(in: texts), "\(found)")
        }
        for missing in ["ord", "com.bob", "anna@com", "example.c*", "4711.order", "anna carl"] {
            #expect(try #require(WordSearch(missing)).finds(in: texts) == false, "\(missing)")
        }
    }
}
