import Foundation
import InternetMessage
import MessageComposition

/// Composes emails for tests that are not written in Swift.
///
/// Each line of the input is an email, as a JSON object. The output for each email is a line of JSON. This line has the
/// email's defects, or its size and the envelope's recipients. In the second case, the octets of the message follow the
/// line.
@main
enum Main {
    static func main() throws {
        let input = FileHandle.standardInput.readDataToEndOfFile()
        for line in input.split(separator: UInt8(ascii: "\n")) {
            try answer(JSONDecoder().decode(Description.self, from: Data(line)))
        }
    }

    private static func answer(_ description: Description) throws {
        let email: Email
        do {
            email = try description.email()
        } catch let mistake as Mistake {
            return try write(Answer(defects: [Defect(place: mistake.place, explanation: mistake.explanation)]))
        }
        let defects = email.defects()
        guard defects.isEmpty else {
            return try write(
                Answer(defects: defects.map { Defect(place: "\($0.place)", explanation: $0.explanation) }))
        }
        var composer = MessageComposer(email, seed: description.seed ?? 1)
        try write(Answer(size: composer.size, recipients: composer.recipients.map(\.text)))
        while let piece = composer.next() { FileHandle.standardOutput.write(Data(piece)) }
    }

    private static func write(_ answer: Answer) throws {
        FileHandle.standardOutput.write(try JSONEncoder().encode(answer) + Data([0x0A]))
    }
}

private struct Answer: Encodable {
    var defects: [Defect]?
    var size: Int?
    var recipients: [String]?
}

private struct Defect: Encodable {
    var place: String
    var explanation: String
}

/// A value that the module's types can't hold.
private struct Mistake: Error {
    var place: String
    var explanation: String
}

private struct Description: Decodable {
    struct File: Decodable {
        var filename: String
        var contentType: String?
        var contentID: String?
        var content: String
    }

    struct Header: Decodable {
        var name: String
        var value: String
    }

    var from: String
    var to: [String]
    var cc: [String]?
    var bcc: [String]?
    var replyTo: [String]?
    var subject: String
    var text: String?
    var html: String?
    var attachments: [File]?
    var headers: [Header]?
    var seed: UInt64?

    func email() throws -> Email {
        Email(
            from: try mailbox(from, "from"), to: try mailboxes(to, "to"), cc: try mailboxes(cc ?? [], "cc"),
            bcc: try mailboxes(bcc ?? [], "bcc"), replyTo: try mailboxes(replyTo ?? [], "replyTo"), subject: subject,
            text: text, html: html,
            attachments: try (attachments ?? []).map { file in
                guard let content = Base64Text(Array(file.content.utf8)[...]) else {
                    throw Mistake(place: "content", explanation: "The content is not base64")
                }
                return Email.Attachment(
                    filename: file.filename, contentType: file.contentType, contentID: file.contentID, content: content)
            },
            headers: (headers ?? []).map { Email.HeaderField(name: $0.name, value: $0.value) })
    }

    private func mailboxes(_ texts: [String], _ place: String) throws -> [Mailbox] {
        try texts.enumerated().map { try mailbox($1, "\(place)(\($0))") }
    }

    private func mailbox(_ text: String, _ place: String) throws -> Mailbox {
        do throws(MailboxError) {
            return try Mailbox(parsing: text)
        } catch {
            throw Mistake(place: place, explanation: error.explanation)
        }
    }
}
