import Testing

@testable import MessageComposition

@Suite("Base64 text of attachments")
struct Base64TextTests {
    @Test(
        "The size of the content is counted without decoding",
        arguments: [
            ("", 0), (" \r\n\t", 0), ("QQ==", 1), ("QUI=", 2), ("QUJD", 3), ("QUJD\r\nQQ==\r\n", 4), ("Q Q = =", 1),
            ("+/+/", 3), ("Q\tU\nI\r=", 2),
        ])
    func taken(text: String, size: Int) {
        #expect(Base64Text(Array(text.utf8)[...])?.decodedSize == size)
    }

    @Test(
        "Text that is not base64 is refused",
        arguments: [
            "Q", "QQ", "QQ=", "QUI", "QQ===", "====", "=", "==", "Q===", "QQ==QQ==", "QQ=A", "QU-_", "QUJD!", "QU\0D",
            "QUÄ=",
            "QU\u{B}D", "QUJDQ",
        ])
    func refused(text: String) {
        #expect(Base64Text(Array(text.utf8)[...]) == nil)
    }

    @Test("The digits are written in lines of 76, whatever their lines were before")
    func lines() {
        let digits = String(repeating: "QUJD", count: 50)
        let expected = [digits.prefix(76), digits.dropFirst(76).prefix(76), digits.dropFirst(152)]
            .map { $0 + "\r\n" }.joined()
        for width in [1, 3, 60, 76, 200] {
            var given = ""
            for (index, digit) in digits.enumerated() {
                given.append(digit)
                if index % width == width - 1 { given += width % 2 == 0 ? "\r\n" : " \t" }
            }
            var lines = Base64Lines(base64(given))
            #expect(lines.size == expected.utf8.count)
            var output: [UInt8] = []
            while lines.append(upTo: output.count + 1, to: &output) {}
            #expect(text(output) == expected, "\(width)")
        }
    }

    @Test("A slice of a larger body is used as it is")
    func slice() {
        let body = Array(#"{"content":"QUJD"}"#.utf8)
        let content = Base64Text(body[12..<16])
        #expect(content?.decodedSize == 3)
        #expect(content?.bytes.startIndex == 12)
        var output: [UInt8] = []
        var lines = content.map(Base64Lines.init)
        while lines?.append(upTo: 100, to: &output) == true {}
        #expect(text(output) == "QUJD\r\n")
    }
}
