import FuzzSupport
import NIOCore
import NIOOpenSSL

extension Property {
    /// A client, or somebody between client and server, may send anything in place of TLS. The application gets only
    /// the text that the client sent under TLS, or its beginning. The handler sends little, reports one failure at
    /// most, and releases everything.
    ///
    /// The first octet chooses the version of TLS and how the other octets are used.
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

    /// The client sends only the payload.
    private static func hostileClient(_ payload: [UInt8]) throws {
        let server = try Server()
        for chunk in chunkings(of: payload)[1] { server.deliver(chunk) }
        try server.finish()
        try require(server.application.received.isEmpty, "plaintext without a handshake")
        try require(!server.application.isEstablished, "a handshake that no client began")
    }

    /// The payload arrives between records of an established connection.
    private static func intruder(_ payload: [UInt8], _ version: TLSVersion) throws {
        let (server, client) = try connected(version)
        client.write("NOOP\r\n")
        server.deliver(client.takeOutput())
        server.deliver(payload[...])
        try server.finish()
        try require(
            server.application.received == Array("NOOP\r\n".utf8),
            "plaintext that the client did not send: \(shown(server.application.received))")
    }

    /// Octets that the client sends are changed. Every three octets of the payload are a position and a mask.
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

    /// The client sends the payload in records of several lengths. They arrive in pieces of another length.
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
