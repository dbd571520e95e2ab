import InternetMessage
import MessageComposition
import StrictJSON

/// Where what the composer has to say about an email is told in the document of a request.
extension EmailRequest {
    /// Reads a mailbox: `user@example.com`, or `Name <user@example.com>`.
    ///
    /// - Throws: ``MailboxMistake`` with a sentence.
    static func mailbox(_ text: String) throws(MailboxMistake) -> Mailbox {
        guard let opening = text.lastIndex(of: "<"), text.last == ">" else {
            return Mailbox(address: try address(text.utf8))
        }
        var name = text[..<opening].trimmingBlanks
        if name.count >= 2, name.first == "\"", name.last == "\"" { name = name.dropFirst().dropLast() }
        guard !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw MailboxMistake("The name holds a control character; leave it out")
        }
        return Mailbox(
            displayName: name.isEmpty ? nil : String(name),
            address: try address(text[opening...].dropFirst().dropLast().utf8))
    }

    private static func address(_ octets: some Collection<UInt8>) throws(MailboxMistake) -> AddrSpec {
        do throws(AddressError) {
            return try AddrSpec(parsing: octets)
        } catch {
            throw MailboxMistake(error.explanation)
        }
    }

    /// A sentence without full stop: why a text is no mailbox.
    struct MailboxMistake: Error {
        let explanation: String

        init(_ explanation: String) { self.explanation = explanation }
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return text
    }
}
