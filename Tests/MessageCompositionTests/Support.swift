import InternetMessage

@testable import MessageComposition

/// Parses a mailbox that a test writes.
func mailbox(_ text: String) -> Mailbox {
    guard let mailbox = try? Mailbox(parsing: text) else { preconditionFailure("no mailbox: \(text)") }
    return mailbox
}

/// A sample email. `change` may change its values.
func sampleEmail(_ change: (inout Email) -> Void = { _ in }) -> Email {
    var email = Email(
        from: mailbox("Acme <app@shop.example>"), to: [mailbox("u@x.example")], subject: "Hello", text: "Hi\r\n")
    change(&email)
    return email
}

/// The content of an attachment, from base64 that a test writes.
func base64(_ text: String) -> Base64Text {
    guard let content = Base64Text(Array(text.utf8)[...]) else { preconditionFailure("no base64: \(text)") }
    return content
}

/// The whole message of an email.
func compose(_ email: Email, seed: UInt64 = 0xAB) -> [UInt8] {
    var composer = MessageComposer(email, seed: seed)
    var message: [UInt8] = []
    while let piece = composer.next() { message += piece }
    return message
}

func text(_ octets: some Collection<UInt8>) -> String { String(decoding: octets, as: UTF8.self) }

/// The field of this name in the header of the email, with its folds.
func field(_ name: String, of email: Email) -> String {
    let header = text(HeaderSectionWriter.octets(of: email)).replacing("\r\n", with: "\n")
    var found: [Substring] = []
    for line in header.split(separator: "\n") {
        if line.hasPrefix(name + ":") || (!found.isEmpty && line.hasPrefix(" ")) {
            found.append(line)
        } else if !found.isEmpty {
            break
        }
    }
    return found.joined(separator: "\n")
}

/// Prepares a composed message, as the relay does before the message is queued.
func prepare(_ message: [UInt8]) -> Result<HeaderSummary, MessageRejection> {
    let context = PreparationContext(
        received: "from client.example ([192.0.2.7])\r\n\tby relay.example with ESMTPSA id 1",
        date: "Wed, 25 Nov 2026 12:00:00 +0000", messageID: "<1@relay.example>")
    var preparation = MessagePreparation(policy: PreparationPolicy(longLines: .refuse), context: context)
    var output: [UInt8] = []
    message.withUnsafeBytes { preparation.consume($0, into: &output) }
    return preparation.finish(into: &output)
}
