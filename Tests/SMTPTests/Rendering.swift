import InternetMessage
import NIOCore

@testable import SMTP

func buffer(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

/// The octets of a text with escapes (`\r`, `\n`, `\t`, `\0`, `\\`, `\u{E9}`). Tests use escapes so that their log can
/// be read.
func octets(_ escaped: String) -> [UInt8] {
    var result: [UInt8] = []
    var rest = escaped[...]
    while let first = rest.popFirst() {
        guard first == "\\", let kind = rest.popFirst() else {
            result += Array(String(first).utf8)
            continue
        }
        switch kind {
        case "r": result.append(0x0D)
        case "n": result.append(0x0A)
        case "t": result.append(0x09)
        case "0": result.append(0x00)
        case "u":
            let digits = rest.dropFirst().prefix { $0 != "}" }
            rest = rest.dropFirst(digits.count + 2)
            if let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) {
                result += Array(String(Character(scalar)).utf8)
            }
        default: result += Array(String(kind).utf8)
        }
    }
    return result
}

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

extension Reply {
    /// The lines as they go over the wire, without CRLF.
    var wireLines: [String] {
        var buffer = ByteBuffer()
        write(into: &buffer)
        return text(buffer.readableBytesView).split(separator: "\r\n").map(String.init)
    }
}

extension Session.Action {
    /// One line for each step that the driver must do.
    var rendered: [String] {
        switch self {
        case .reply(let reply): reply.wireLines
        case .close(let replies): replies.flatMap(\.wireLines) + ["close"]
        case .startTLS(let reply): reply.wireLines + ["start TLS"]
        case .authenticate(let credentials):
            ["authenticate '\(text(credentials.userName))' with '\(text(credentials.password))'"]
        case .checkSender(let path): ["check sender <\(path.text)>"]
        case .checkRecipient(let mailbox): ["check recipient <\(mailbox.text)>"]
        case .openData: ["open data"]
        case .endTransaction(let reply): ["end transaction"] + reply.wireLines
        case .receiveData(let reply): reply.wireLines + ["receive data"]
        }
    }
}

extension ParsedCommand {
    var rendered: String {
        switch self {
        case .invalid(let reply), .invalidEnvelope(let reply): reply.wireLines.joined(separator: " | ")
        case .valid(let command): command.rendered
        }
    }
}

extension Command {
    var rendered: String {
        switch self {
        case .hello(let extended, let client): "\(extended ? "EHLO" : "HELO") \(client)"
        case .startTLS: "STARTTLS"
        case .authenticate(let mechanism, let initialResponse):
            "AUTH \(mechanism) \(initialResponse.map { "'\(text($0))'" } ?? "without initial response")"
        case .mail(let path, let parameters):
            "MAIL <\(path.text)>" + (parameters.size.map { " of \($0) octets" } ?? "")
        case .recipient(let mailbox): "RCPT <\(mailbox.text)>"
        case .data: "DATA"
        case .reset: "RSET"
        case .noop: "NOOP"
        case .verify: "VRFY"
        case .help: "HELP"
        case .quit: "QUIT"
        case .http: "HTTP"
        }
    }
}

/// All ways to cut `bytes` into three pieces, which may be empty, and `bytes` cut into single octets.
func chunkings(_ bytes: [UInt8]) -> [[[UInt8]]] {
    var result: [[[UInt8]]] = [bytes.map { [$0] }]
    for first in 0...bytes.count {
        for second in first...bytes.count {
            result.append([Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])])
        }
    }
    return result
}

/// Each of the 2^(n-1) ways to cut `bytes` into pieces that are not empty.
func allChunkings(_ bytes: [UInt8]) -> [[[UInt8]]] {
    guard bytes.count > 1 else { return [[bytes]] }
    return (0..<(1 << (bytes.count - 1))).map { cuts in
        var pieces: [[UInt8]] = [[]]
        for (index, byte) in bytes.enumerated() {
            pieces[pieces.count - 1].append(byte)
            if index < bytes.count - 1, cuts >> index & 1 == 1 { pieces.append([]) }
        }
        return pieces
    }
}
