import FuzzSupport
import NIOCore
import NIOOpenSSL

extension Property {
    /// Whatever a client or somebody between sends in the place of TLS, the application gets what the client said under TLS,
    /// or the beginning of it, and nothing else; the handler answers little, says why it fails once, and lets go of all.
    ///
    /// The first octet chooses what the others do.
    public static let tls = Property("tls") { input in
        guard let choice = input.first else { return }
        let payload = Array(input.dropFirst())
        let version: TLSVersion = choice & 4 == 0 ? .tls13 : .tls12
        switch choice & 3 {
        case 0: try hostileClient(payload)
        case 1: try intruder(payload, version)
        case 2: try tampering(payload, version)
        default: try splitting(payload, version)
        }
    }

    /// The payload is all that arrives.
    private static func hostileClient(_ payload: [UInt8]) throws {
        let server = try Server()
        for chunk in chunkings(of: payload)[1] { server.deliver(chunk) }
        try server.finish()
        try require(server.application.received.isEmpty, "plaintext without a handshake")
        try require(!server.application.isEstablished, "a handshake out of nothing")
    }

    /// The payload comes between records of an established connection.
    private static func intruder(_ payload: [UInt8], _ version: TLSVersion) throws {
        let (server, client) = try connected(version)
        client.write("NOOP\r\n")
        server.deliver(client.takeOutput())
        server.deliver(payload[...])
        try server.finish()
        try require(
            server.application.received == Array("NOOP\r\n".utf8),
            "plaintext out of nothing: \(shown(server.application.received))")
    }

    /// Octets of what the client sends are changed: each three of the payload are a position and a mask.
    private static func tampering(_ payload: [UInt8], _ version: TLSVersion) throws {
        let server = try Server()
        let client = try Client(version)
        var position = 0
        func tampered(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
            var bytes = bytes
            for start in stride(from: 0, to: payload.count - 2, by: 3) {
                let index = (Int(payload[start]) << 8 | Int(payload[start + 1])) % 2048 - position
                if bytes.indices.contains(index) { bytes[index] ^= payload[start + 2] }
            }
            position += bytes.count
            return bytes[...]
        }
        client.exchange(with: server, tampered)
        let said = "EHLO client.example\r\n"
        if client.isEstablished {
            client.write(said)
            client.exchange(with: server, tampered)
        }
        try server.finish()
        try require(
            said.utf8.starts(with: server.application.received),
            "the server read \(shown(server.application.received))")
    }

    /// The client says the payload in records of some length, which arrive in pieces of another.
    private static func splitting(_ payload: [UInt8], _ version: TLSVersion) throws {
        let (server, client) = try connected(version)
        var ciphertext: [UInt8] = []
        for record in chunkings(of: payload)[1] {
            client.write(Array(record))
            ciphertext += client.takeOutput()
        }
        let length = payload.first.map { Int($0) + 1 } ?? 7
        for start in stride(from: 0, to: ciphertext.count, by: length) {
            server.deliver(ciphertext[start..<min(start + length, ciphertext.count)])
        }
        try server.finish()
        try require(
            server.application.received == payload,
            "\(shown(payload)) arrives as \(shown(server.application.received))")
    }

    private static func connected(_ version: TLSVersion) throws -> (Server, Client) {
        let server = try Server()
        let client = try Client(version)
        client.exchange(with: server)
        try require(client.isEstablished && server.application.isEstablished, "no handshake")
        return (server, client)
    }
}
