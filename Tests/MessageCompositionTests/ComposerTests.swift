import InternetMessage
import TestSupport
import Testing

@testable import MessageComposition

@Suite("Composed messages")
struct ComposerTests {
    private static func lines(_ texts: String...) -> String { texts.joined(separator: "\r\n") + "\r\n" }

    @Test("An email with only a text becomes a message of one part")
    func plain() {
        #expect(
            text(compose(sampleEmail()))
                == Self.lines(
                    "From: Acme <app@shop.example>", "To: u@x.example", "Subject: Hello", "MIME-Version: 1.0",
                    "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "", "Hi"))
    }

    @Test("A message has a multipart of each kind only where it is needed")
    func structure() {
        func file(_ id: String?) -> Email.Attachment {
            Email.Attachment(filename: "a.png", contentID: id, content: base64("QUJD"))
        }
        func types(_ change: (inout Email) -> Void) -> [String] {
            text(compose(sampleEmail(change))).replacing("\r\n", with: "\n").split(separator: "\n").compactMap { line in
                guard line.hasPrefix("Content-Type: ") else { return nil }
                return String(line.dropFirst("Content-Type: ".count).prefix { $0 != ";" })
            }
        }
        #expect(types { $0.html = "x" } == ["multipart/alternative", "text/plain", "text/html"])
        #expect(
            types {
                $0.text = nil
                $0.html = "x"
            } == ["text/html"])
        #expect(types { $0.attachments = [file(nil)] } == ["multipart/mixed", "text/plain", "image/png"])
        // Without HTML nothing shows the image, so it is attached.
        #expect(types { $0.attachments = [file("x")] } == ["multipart/mixed", "text/plain", "image/png"])
        #expect(
            types {
                $0.text = nil
                $0.html = "x"
                $0.attachments = [file("x")]
            } == ["multipart/related", "text/html", "image/png"])
        #expect(
            types {
                $0.html = "x"
                $0.attachments = [file(nil), file("x"), file(nil)]
            } == [
                "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
                "image/png", "image/png",
            ])
    }

    @Test(
        "The lines of a text are written in quoted-printable",
        arguments: [
            ("", ""), ("a", "a\r\n"), ("a\n", "a\r\n"), ("a\r", "a\r\n"), ("a\r\nb\nc\rd", "a\r\nb\r\nc\r\nd\r\n"),
            ("\r\r\n\n", "\r\n\r\n\r\n"), ("a \nb\t", "a=20\r\nb=09\r\n"), ("a  \n", "a =20\r\n"), ("a=b", "a=3Db\r\n"),
            ("a\u{B}", "a=0B\r\n"), ("long enough for é", "long enough for =C3=A9\r\n"),
            (".\nFrom x", ".\r\nFrom x\r\n"),
            (String(repeating: "a", count: 75), String(repeating: "a", count: 75) + "\r\n"),
            (String(repeating: "a", count: 77), String(repeating: "a", count: 75) + "=\r\naa\r\n"),
            (String(repeating: "a", count: 74) + "=", String(repeating: "a", count: 74) + "=\r\n=3D\r\n"),
            (String(repeating: "a", count: 74) + " \n", String(repeating: "a", count: 74) + "=\r\n=20\r\n"),
        ])
    func quotedPrintable(given: String, written: String) {
        var lines = TextLines(given)
        #expect(lines.encoding == .quotedPrintable)
        var output: [UInt8] = []
        while lines.append(upTo: .max, to: &output) {}
        #expect(text(output) == written)
        #expect(lines.size == output.count)
    }

    @Test("The shorter encoding is chosen, and each encoding gives the text back")
    func shorter() throws {
        var generator = SeededGenerator(seed: 5)
        let alphabets = [
            ["a", "b", " ", "\n", "\r\n", "\r", "="], ["é", "日", "\n", "𝔘", "a"], ["日"], ["a", "é", "\t"],
        ]
        var encodings: Set<TextLines.Encoding> = []
        for round in 0..<200 {
            let alphabet = alphabets[round % alphabets.count]
            let count = round < 190 ? Int.random(in: 0...300, using: &generator) : 120_000
            let given = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? "" }.joined()
            var lines = TextLines(given)
            encodings.insert(lines.encoding)
            var output: [UInt8] = []
            while lines.append(upTo: output.count + 500, to: &output) {}
            #expect(output.count == lines.size)
            #expect(
                text(output).replacing("\r\n", with: "\n").split(separator: "\n").allSatisfy { $0.utf8.count <= 76 })
            let decoded = lines.encoding == .base64 ? decodeBase64(output) : decodeQuotedPrintable(output)
            #expect(text(decoded) == normalised(given), "\(round)")
        }
        #expect(encodings == [.quotedPrintable, .base64])
    }

    private func normalised(_ given: String) -> String {
        var result = String.UnicodeScalarView()
        var previous: Unicode.Scalar = "\n"
        for scalar in given.unicodeScalars {
            if scalar == "\n", previous == "\r", !result.isEmpty {
                previous = scalar
                continue
            }
            if scalar == "\r" || scalar == "\n" {
                result.append(contentsOf: "\r\n".unicodeScalars)
            } else {
                result.append(scalar)
            }
            previous = scalar
        }
        if previous != "\r", previous != "\n" { result.append(contentsOf: "\r\n".unicodeScalars) }
        return String(result)
    }

    private func decodeQuotedPrintable(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < octets.count {
            if octets[index] != 0x3D {
                result.append(octets[index])
                index += 1
            } else {
                if octets[index + 1] != 0x0D {
                    result.append(UInt8(text(octets[(index + 1)...(index + 2)]), radix: 16) ?? 0)
                }
                index += 3
            }
        }
        return result
    }

    private func decodeBase64(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var bits = 0
        var count = 0
        for byte in octets {
            guard let value = Base64Digits.all.firstIndex(of: byte) else { continue }
            bits = (bits << 6 | value) & 0xFFFF
            count += 6
            if count >= 8 {
                count -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        return result
    }

    @Test("The size of a message is known before it is composed, and its pieces are small")
    func pieces() throws {
        let content = base64(String(repeating: "QUJDREVG\r\n", count: 200_000))
        let email = sampleEmail {
            $0.html = String(repeating: "<p>Grüße</p>\n", count: 20_000)
            $0.text = String(repeating: "日本語", count: 50_000)
            $0.attachments = [
                .init(filename: "a.bin", content: content), .init(filename: "b.bin", content: base64("")),
            ]
            $0.headers = (0..<20).map { .init(name: "X-\($0)", value: String(repeating: "abc ", count: 2000)) }
        }
        #expect(email.defects() == [])
        var composer = MessageComposer(email, seed: 7)
        let size = composer.size
        var message: [UInt8] = []
        var count = 0
        while let piece = composer.next() {
            #expect((1...MessageComposer.maximumPieceSize).contains(piece.count))
            message += piece
            count += 1
        }
        #expect(composer.next() == nil)
        #expect(message.count == size)
        #expect(count < size / 32_768 + 8)
        #expect(composer.size == size)
        let summary = try prepare(message).get()
        #expect(summary.subject == "Hello")
        #expect(message == compose(email, seed: 7))
        #expect(message != compose(email, seed: 8))
    }

    @Test("Each file name is written in one form")
    func filenames() {
        func words(_ name: String) -> [String] { FilenameParameter.words(name) }
        #expect(words("a b.pdf") == ["filename=\"a b.pdf\""])
        #expect(words("Ü'%.pdf") == ["filename*=utf-8''%C3%9C%27%25.pdf"])
        #expect(words("a\"b") == ["filename*=utf-8''a%22b"])
        #expect(
            words("日本語日本語日本") == [
                "filename*0*=utf-8''%E6%97%A5%E6%9C%AC%E8%AA%9E%E6%97%A5%E6%9C%AC%E8%AA%9E;",
                "filename*1*=%E6%97%A5%E6%9C%AC",
            ])
    }

    @Test("A long name has at most ten pieces, which together give the name", arguments: ["é", "日", "𝔘", "a𝔘", "%"])
    func longFilenames(character: String) {
        let name = String(repeating: character, count: 255 / character.utf8.count)
        let words = FilenameParameter.words(name)
        #expect(words.count <= 10)
        #expect(words.allSatisfy { $0.utf8.count < 120 || words.count == 1 })
        guard words.count > 1 else { return }
        let joined = words.map { $0.drop { $0 != "=" }.dropFirst().replacing(";", with: "") }.joined()
        let octets = joined.dropFirst("utf-8''".count).split(separator: "%", omittingEmptySubsequences: false)
            .enumerated().flatMap { index, piece -> [UInt8] in
                guard index > 0 else { return Array(piece.utf8) }
                return (UInt8(piece.prefix(2), radix: 16).map { [$0] } ?? []) + piece.dropFirst(2).utf8
            }
        #expect(text(octets) == name)
    }

    @Test("The composer accepts an attachment that SES refuses; the preparation refuses it, in every form of its name")
    func refusedEndings() {
        for name in ["setup.exe", "ü.exe", String(repeating: "日", count: 40) + ".exe", "a\".exe"] {
            let email = sampleEmail { $0.attachments = [.init(filename: name, content: base64(""))] }
            #expect(email.defects() == [])
            guard case .failure(.attachment) = prepare(compose(email)) else {
                Issue.record("an attachment named \(name) was accepted")
                continue
            }
        }
    }
}
