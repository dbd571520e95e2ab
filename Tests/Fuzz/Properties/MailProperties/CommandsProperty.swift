import FuzzSupport
import InternetMessage
import NIOCore
import SMTP

extension Property {
    /// The replies do not depend on how the input is cut into reads. The store is not asked for anything before TLS and
    /// authentication. Each reply is well-formed.
    public static let commands = Property("commands") { input in
        // Most inputs run under TLS, because most commands need it.
        let isSecure = fingerprint(input) % 4 != 0
        var first: [UInt8]?
        for chunks in chunkings(of: input) {
            var dialogue = Dialogue(isSecure: isSecure)
            for chunk in chunks where !dialogue.hasEnded { try dialogue.received(chunk) }
            let transcript = dialogue.transcript
            if let first {
                try require(
                    transcript == first,
                    "\(shown(input)) in \(chunks.count) pieces: \(shown(transcript)), not \(shown(first))")
            }
            first = transcript
        }
        if ["GET ", "POST "].contains(where: { input.starts(with: $0.utf8) }), let first {
            try require(!shown(first).contains("250"), "an HTTP request was answered: \(shown(input)): \(shown(first))")
        }
    }
}

/// Drives a session as the connection's handler does. It also decides in place of the store: it refuses values that
/// begin with an x, and accepts all others.
private struct Dialogue {
    private var session: Session
    private var lines = CommandLineDecoder()
    private var content: DataDecoder?
    /// The number of recipients that were accepted in this transaction.
    private var recipients = 0
    private var inbound = ByteBuffer()
    private(set) var transcript: [UInt8] = []
    private(set) var hasEnded = false

    init(isSecure: Bool) {
        session = Session(
            configuration: .init(
                hostname: "relay.example.com", maximumMessageSize: 1000, maximumRecipients: 3, offersStartTLS: true),
            isSecure: isSecure)
    }

    mutating func received(_ chunk: ArraySlice<UInt8>) throws {
        inbound.writeBytes(chunk)
        while !hasEnded {
            if content != nil {
                guard try readContent() else { return }
                continue
            }
            switch lines.next(from: &inbound, limit: session.lineLimit) {
            case .line(let line): try perform(session.received(line: line))
            case .tooLong(let beginning): try perform(session.receivedTooLongLine(beginning: beginning))
            case .bareLineFeed(let line): try perform(session.receivedBareLineFeed(line: line))
            case .needMoreData:
                try require(inbound.readableBytes < session.lineLimit, "an endless line is kept in memory")
                return
            }
        }
    }

    private mutating func readContent() throws -> Bool {
        guard content?.decode(&inbound, emit: { transcript += $0 }) == true else { return false }
        content = nil
        try perform(session.messageFinished(Reply(250, EnhancedStatus(0, 0), "Ok: queued as 1")))
        try require(!session.isInTransaction, "the transaction goes on after its message")
        return true
    }

    private mutating func perform(_ action: Session.Action) throws {
        switch action {
        case .reply(let reply): try write(reply)
        case .close(let replies):
            for reply in replies { try write(reply) }
            hasEnded = true
        case .startTLS(let reply):
            try require(!session.isSecure, "TLS within TLS")
            try write(reply)
            // The octets after it belong to the handshake, or they end the connection.
            hasEnded = true
        case .authenticate(let credentials):
            try require(session.isSecure && !session.isAuthenticated, "AUTH over plain text, or twice")
            try perform(
                isRefused(credentials.password)
                    ? session.authenticationRefused(Reply(535, EnhancedStatus(7, 8), "Wrong", reason: "key-unknown"))
                    : session.authenticated())
        case .checkSender(let path):
            try checkAccess()
            note("from", path.text)
            let refusal = Reply(553, EnhancedStatus(7, 1), "Not yours", reason: "sender-domain")
            try perform(isRefused(path.text.utf8) ? session.senderRefused(refusal) : session.senderAccepted())
        case .checkRecipient(let mailbox):
            try checkAccess()
            try require(session.isInTransaction, "a recipient without a sender")
            note("to", mailbox.text)
            let refusal = Reply(550, EnhancedStatus(1, 1), "Unknown", reason: "address")
            if isRefused(mailbox.text.utf8) { return try perform(session.recipientRefused(refusal)) }
            recipients += 1
            try perform(session.recipientAccepted())
        case .endTransaction(let reply):
            try require(!session.isInTransaction, "the transaction goes on after its end")
            recipients = 0
            try write(reply)
        case .openData:
            try checkAccess()
            try require(session.isInTransaction && recipients > 0, "content without a recipient")
            recipients = 0
            try perform(session.dataOpened())
        case .receiveData(let reply):
            try write(reply)
            content = DataDecoder()
        }
    }

    private func checkAccess() throws {
        try require(session.isSecure && session.isAuthenticated, "a transaction without TLS and authentication")
    }

    private func isRefused(_ text: some Sequence<UInt8>) -> Bool { text.starts(with: "x".utf8) }

    private mutating func note(_ what: String, _ text: String) { transcript += Array("[\(what) \(text)]".utf8) }

    /// Writes a reply and checks its form (RFC 5321 section 4.2): each line has a code, a blank or a hyphen, and
    /// printable text. Only the last line has the blank.
    private mutating func write(_ reply: Reply) throws {
        var buffer = ByteBuffer()
        reply.write(into: &buffer)
        let bytes = Array(buffer.readableBytesView)
        var start = 0
        while start < bytes.count {
            guard let end = bytes[start...].firstIndex(of: 0x0D), end + 1 < bytes.count, bytes[end + 1] == 0x0A else {
                throw Violation("a reply does not end with CRLF: \(shown(bytes))")
            }
            let line = bytes[start..<end]
            let isLast = end + 2 == bytes.count
            try require(line.count <= 510 && line.count >= 4, "a reply's line has \(line.count) octets")
            try require(
                line.prefix(3).elementsEqual(String(reply.code).utf8), "a reply without its code: \(shown(bytes))")
            try require(
                line[start + 3] == (isLast ? 0x20 : 0x2D),
                "a reply has a wrong separator after its code: \(shown(bytes))")
            try require(
                line.allSatisfy { (0x20...0x7E).contains($0) }, "a reply has a control character: \(shown(bytes))")
            start = end + 2
        }
        transcript += bytes
    }
}
