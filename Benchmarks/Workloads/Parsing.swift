import InternetMessage
import NIOCore
import SMTP

extension Workload {
    /// The work on the octets of a message and of its commands, without I/O.
    static let parsing = [
        Workload("commands of a message: decoder") {
            { count in
                for _ in 0..<count {
                    var buffer = commands
                    var decoder = CommandLineDecoder()
                    for _ in 0..<3 { _ = try nextLine(&decoder, &buffer) }
                }
            }
        },
        Workload("commands of a message: decoder, session, replies") {
            var session = try authenticatedSession()
            return { count in
                for _ in 0..<count { try converse(&session) }
            }
        },
        Workload("content of 4 KB: data decoder") {
            // No line of the message begins with a dot.
            let content = ByteBuffer(bytes: sampleMessage() + Array(".\r\n".utf8))
            return { count in
                for _ in 0..<count {
                    var buffer = content
                    var decoder = DataDecoder()
                    var octets = 0
                    let hasEnded = decoder.decode(&buffer) { octets += $0.count }
                    guard hasEnded, octets > 4096 else { throw UnexpectedResult("the content did not end") }
                }
            }
        },
        Workload("content of 4 KB: header scan and preparation") {
            let message = sampleMessage()
            let context = PreparationContext(
                received:
                    "from client ([127.0.0.1])\r\n by relay with ESMTPSA\r\n id 0123456789abc (key ABCDEFGH);\r\n now",
                date: "Wed, 25 Nov 2026 12:00:00 +0000", messageID: "<0123456789abc.ABCDEFGH@relay>")
            return { count in
                for _ in 0..<count {
                    var preparation = MessagePreparation(policy: PreparationPolicy(), context: context)
                    var output: [UInt8] = []
                    output.reserveCapacity(5120)
                    message.withUnsafeBytes { preparation.consume($0, into: &output) }
                    _ = try preparation.finish(into: &output).get()
                }
            }
        },
    ]

    private static let commands = ByteBuffer(
        string:
            "MAIL FROM:<orders@example.com> SIZE=4500 BODY=8BITMIME\r\nRCPT TO:<recipient@example.net>\r\nDATA\r\n")

    private static func nextLine(_ decoder: inout CommandLineDecoder, _ buffer: inout ByteBuffer) throws -> ByteBuffer {
        guard case .line(let line) = decoder.next(from: &buffer, limit: Session.maximumLine) else {
            throw UnexpectedResult("a command line was not found")
        }
        return line
    }

    private static func authenticatedSession() throws -> Session {
        var session = Session(
            configuration: Session.Configuration(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRecipients: 100,
                offersStartTLS: true, allowsPlaintextAuthentication: false),
            isSecure: true)
        _ = session.connected()
        _ = session.received(line: ByteBuffer(string: "EHLO client.example.com"))
        guard case .authenticate = session.received(line: ByteBuffer(string: "AUTH PLAIN AGFwaWtleQBrZXk=")) else {
            throw UnexpectedResult("AUTH was refused")
        }
        _ = session.authenticated()
        return session
    }

    /// Runs the session from MAIL to the reply 250. Nothing is refused.
    private static func converse(_ session: inout Session) throws {
        var input = commands
        var output = ByteBuffer()
        var decoder = CommandLineDecoder()
        func answer(_ action: Session.Action) throws {
            switch action {
            case .reply(let reply), .receiveData(let reply): reply.write(into: &output)
            default: throw UnexpectedResult("a command was not answered")
            }
        }
        guard case .checkSender = session.received(line: try nextLine(&decoder, &input)) else {
            throw UnexpectedResult("MAIL was refused")
        }
        try answer(session.senderAccepted())
        guard case .checkRecipient = session.received(line: try nextLine(&decoder, &input)) else {
            throw UnexpectedResult("RCPT was refused")
        }
        try answer(session.recipientAccepted())
        guard case .openData = session.received(line: try nextLine(&decoder, &input)) else {
            throw UnexpectedResult("DATA was refused")
        }
        try answer(session.dataOpened())
        try answer(session.messageFinished(Reply(250, EnhancedStatus(0, 0), "Ok: queued as 0123456789abc")))
    }
}
