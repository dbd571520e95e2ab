import FuzzSupport
import InternetMessage
import MessageComposition

extension Property {
    /// For any values, either the defects are reported, or the message has the announced size, passes the relay's own
    /// preparation and has the given values.
    ///
    /// Input: the values of an email, separated by the octet 255, which never occurs in UTF-8.
    public static let compose = Property("compose") { input in
        let values = Values(input)
        if let content = Base64Text(values.content[...]) {
            try require(
                content.decodedSize == decodedBase64(values.content).count,
                "the size of \(shown(values.content)) is wrong"
            )
        }
        let email = values.email
        let defects = email.defects()
        for defect in defects {
            try require(
                defect.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) },
                "\(defect.explanation) has a control character")
        }
        guard defects.isEmpty else { return }
        var composer = MessageComposer(email, seed: fingerprint(input))
        var message: [UInt8] = []
        while let piece = composer.next() {
            try require(
                (1...MessageComposer.maximumPieceSize).contains(piece.count), "a piece of \(piece.count) octets")
            message += piece
        }
        try require(
            message.count == composer.size,
            "\(composer.size) octets were announced, but the message has \(message.count)")
        try checkPreparation(email, message)
        try checkFields(email, message)
        try checkParts(email, message)
    }

    private static func checkPreparation(_ email: Email, _ message: [UInt8]) throws {
        let context = PreparationContext(
            received: nil, date: "Wed, 25 Nov 2026 12:00:00 +0000", messageID: "<1@relay.example.com>")
        var preparation = MessagePreparation(
            policy: PreparationPolicy(longLines: .refuse, refusedAttachments: AttachmentEndings([])), context: context)
        var output: [UInt8] = []
        message.withUnsafeBytes { preparation.consume($0, into: &output) }
        switch preparation.finish(into: &output) {
        case .failure(let rejection): throw Violation("\(rejection.explanation): \(shown(message))")
        case .success(let summary):
            try require(summary.from == email.from.address, "\(summary.from) is the author of \(shown(message))")
            try require(summary.senders.isEmpty, "there is a sender in \(shown(message))")
        }
    }

    private static func checkFields(_ email: Email, _ message: [UInt8]) throws {
        let fields = Entity(message[...]).fields
        var names = ["from", "to", "subject", "mime-version", "content-type"]
        if !email.cc.isEmpty { names.append("cc") }
        if !email.replyTo.isEmpty { names.append("reply-to") }
        names += email.headers.map { $0.name.lowercased() }
        let found = fields.map(\.name).filter { $0 != "content-transfer-encoding" }
        try require(found.sorted() == names.sorted(), "the fields are \(found) in \(shown(message))")
        let subject = fields.first { $0.name == "subject" }?.body ?? []
        let decoded = EncodedWord.decode(subject.dropFirst(1))
        try require(
            Array(decoded.utf8) == Array(email.subject.utf8),
            "the subject \(email.subject.debugDescription) becomes \(decoded.debugDescription)")
    }

    /// Checks that the message has each of the contents once, in order.
    private static func checkParts(_ email: Email, _ message: [UInt8]) throws {
        var expected = [email.text, email.html].compactMap { $0 }.map { lines(Array($0.utf8)) }
        expected += email.attachments.map { decodedBase64($0.content.bytes) }
        let found = Entity(message[...]).leaves
        try require(found == expected, "\(expected.map(shown)) becomes \(found.map(shown))")
    }

    private static func lines(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            if text[index] == 0x0D || text[index] == 0x0A {
                if text[index] == 0x0D, index + 1 < text.count, text[index + 1] == 0x0A { index += 1 }
                result += [0x0D, 0x0A]
            } else {
                result.append(text[index])
            }
            index += 1
        }
        return result.isEmpty || result.last == 0x0A ? result : result + [0x0D, 0x0A]
    }
}

/// An email that is made from the values of the input.
private struct Values {
    let email: Email
    let content: [UInt8]

    init(_ input: [UInt8]) {
        let pieces = input.split(separator: 0xFF, omittingEmptySubsequences: false).map(Array.init)
        func octets(_ index: Int) -> [UInt8] { index < pieces.count ? pieces[index] : [] }
        func text(_ index: Int) -> String { String(decoding: octets(index), as: UTF8.self) }
        func mailboxes(_ index: Int) -> [Mailbox] {
            text(index).split(separator: "|").compactMap { try? Mailbox(parsing: String($0)) }
        }
        content = octets(10)
        let author = try? Mailbox(parsing: text(0))
        let address = author?.address ?? mailboxes(1).first?.address
        // A recipient's mailbox gets the name unchanged, including control characters.
        let named = address.map { [Mailbox(displayName: text(0), address: $0)] } ?? []
        var attachments: [Email.Attachment] = []
        if let content = Base64Text(content[...]), pieces.count > 10 {
            attachments.append(
                Email.Attachment(
                    filename: text(7), contentType: octets(8).isEmpty ? nil : text(8),
                    contentID: octets(9).isEmpty ? nil : text(9), content: content))
        }
        email = Email(
            from: author ?? Mailbox(address: Values.author), to: mailboxes(1) + named, replyTo: mailboxes(1),
            subject: text(2), text: pieces.count > 3 ? text(3) : nil, html: octets(4).isEmpty ? nil : text(4),
            attachments: attachments,
            headers: octets(5).isEmpty ? [] : [Email.HeaderField(name: text(5), value: text(6))])
    }

    private static let author: AddrSpec = {
        guard let address = try? AddrSpec(parsing: Array("a@good.example".utf8)) else {
            preconditionFailure("the author is none")
        }
        return address
    }()
}

/// A message or a part. The reader is simple and not made for speed.
private struct Entity {
    let fields: [(name: String, body: [UInt8])]
    private let content: ArraySlice<UInt8>

    init(_ octets: ArraySlice<UInt8>) {
        let lines = Lines.byCRLF(octets)
        let end = lines.firstIndex(where: \.isEmpty) ?? lines.endIndex
        fields = Lines.fields(lines[..<end])
        content = end < lines.endIndex ? octets[(lines[end].endIndex + 2)...] : []
    }

    private func body(_ name: String) -> String {
        String(decoding: fields.first { $0.name == name }?.body ?? [], as: UTF8.self)
    }

    /// The decoded contents of all entities that have no parts.
    var leaves: [[UInt8]] {
        let type = body("content-type")
        guard type.hasPrefix(" multipart/"), let start = Array(type.utf8).firstRange(of: Array("boundary=\"".utf8))
        else {
            return [
                body("content-transfer-encoding") == " base64"
                    ? decodedBase64(content) : decodedQuotedPrintable(Array(content))
            ]
        }
        let delimiter = Array("\r\n--\(type.dropFirst(start.upperBound).dropLast())".utf8)
        let whole = [0x0D, 0x0A] + content
        var leaves: [[UInt8]] = []
        var part: Int?
        var index = 0
        while index + delimiter.count <= whole.count {
            guard whole[index] == 0x0D, whole[index...].starts(with: delimiter) else {
                index += 1
                continue
            }
            if let part { leaves += Entity(whole[part..<index]).leaves }
            part = index + delimiter.count + 2
            index += delimiter.count
        }
        return leaves
    }
}

private func decodedQuotedPrintable(_ octets: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var index = 0
    while index < octets.count {
        if octets[index] == 0x3D, index + 2 < octets.count {
            let digits = String(decoding: octets[(index + 1)...(index + 2)], as: UTF8.self)
            if let value = UInt8(digits, radix: 16) { result.append(value) }
            index += 3
        } else {
            result.append(octets[index])
            index += 1
        }
    }
    return result
}

private func decodedBase64(_ octets: some Sequence<UInt8>) -> [UInt8] {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var count: UInt32 = 0
    for octet in octets {
        guard let value = digits.firstIndex(of: octet) else { continue }
        bits = (bits << 6 | UInt32(value)) & 0xFFFF
        count += 6
        if count >= 8 {
            count -= 8
            result.append(UInt8(truncatingIfNeeded: bits >> count))
        }
    }
    return result
}
