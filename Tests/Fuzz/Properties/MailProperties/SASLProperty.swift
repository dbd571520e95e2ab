import FuzzSupport

@testable import SMTP

extension Property {
    /// A text is the base64 of one value or of none. An exchange ends with exactly what the client sent, or with an
    /// error.
    public static let sasl = Property("sasl") { input in
        let encoded = base64(input)
        try require(Base64.decode(encoded) == input, "\(shown(input)) is not decoded to the same octets")
        if let decoded = Base64.decode(input) {
            try require(base64(decoded) == input, "\(shown(input)) is not the base64 of \(decoded)")
        }
        // Each exchange runs with the lines of the input as they are, and with the base64 that a client would send for
        // the input.
        let lines = input.split(separator: 0x0A).map(Array.init)
        for mechanism in SASLMechanism.allCases {
            try converse(mechanism, lines)
            try converse(mechanism, [encoded, encoded])
        }
    }

    private static func converse(_ mechanism: SASLMechanism, _ lines: [[UInt8]]) throws {
        var (exchange, step) = SASLExchange.begin(mechanism, initialResponse: lines.first)
        var challenges = 0
        for line in lines.dropFirst() {
            guard case .challenge(let text) = step else { break }
            try require(Base64.decode(text.utf8) != nil, "the challenge \(text) is not base64")
            challenges += 1
            try require(challenges <= 2, "\(mechanism) asks a third time")
            step = exchange.received(line)
        }
        guard case .finished(let credentials) = step else { return }
        switch mechanism {
        case .plain:
            try require(
                !credentials.password.contains(0) && !credentials.userName.contains(0), "a NUL is part of PLAIN")
            let response = lines.first.flatMap { Base64.decode($0) } ?? []
            let ending = [0] + credentials.userName + [0] + credentials.password
            try require(
                response.suffix(ending.count) == ending[...], "the credentials of PLAIN differ from the response")
        case .login:
            try require(lines.count >= 2, "LOGIN ended after \(lines.count) lines")
            let given = [credentials.userName, credentials.password]
            // RFC 4954: an initial response of "=" is an empty value.
            let first = lines[0] == Array("=".utf8) ? [] : Base64.decode(lines[0])
            try require(
                [first, Base64.decode(lines[1])] == given, "the credentials of LOGIN differ from the responses")
        }
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Encodes as RFC 4648 section 4 says, group by group.
    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        var start = 0
        while start < bytes.count {
            let count = min(3, bytes.count - start)
            var bits = 0
            for index in start..<(start + 3) { bits = bits << 8 | (index < bytes.count ? Int(bytes[index]) : 0) }
            for position in 0..<4 {
                result.append(position <= count ? alphabet[bits >> (18 - 6 * position) & 63] : 0x3D)
            }
            start += 3
        }
        return result
    }
}
