/// The user name and password that a client gave. They hold a secret, so no textual description of them shows their
/// values.
public struct Credentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The user name as received. The relay uses it only to describe a mistake.
    public let userName: [UInt8]
    /// The password as received. It should be an API key.
    public let password: [UInt8]

    public init(userName: [UInt8], password: [UInt8]) {
        self.userName = userName
        self.password = password
    }

    public var description: String { "Credentials(withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The mechanisms that the relay offers: PLAIN (RFC 4616) and LOGIN. LOGIN was never standardised, but old clients use
/// it.
enum SASLMechanism: String, CaseIterable, Sendable {
    case plain = "PLAIN"
    case login = "LOGIN"
}

/// The challenges and responses of one AUTH command (RFC 4954 section 4), as a value.
struct SASLExchange: Sendable {
    enum Step: Sendable {
        /// Send `334` with this text, which is already encoded in base64.
        case challenge(String)
        case finished(Credentials)
        case cancelled
        case invalid(String)
    }

    private enum State: Sendable {
        case plain
        case loginUserName
        case loginPassword(userName: [UInt8])
    }

    private var state: State

    /// Begins the exchange. `initialResponse` is the command's second argument, or nil when it has none. `=` stands for
    /// an empty response (RFC 4954).
    static func begin(_ mechanism: SASLMechanism, initialResponse: [UInt8]?) -> (exchange: SASLExchange, step: Step) {
        var exchange = SASLExchange(state: mechanism == .plain ? .plain : .loginUserName)
        guard let initialResponse else {
            return (exchange, .challenge(mechanism == .plain ? "" : userNamePrompt))
        }
        // A separate statement: within the tuple, the exchange would be copied before the response changes it.
        let step = exchange.received(initialResponse == [UInt8(ascii: "=")] ? [] : initialResponse)
        return (exchange, step)
    }

    // "Username:" and "Password:". Some clients compare these prompts letter by letter.
    private static let userNamePrompt = "VXNlcm5hbWU6"
    private static let passwordPrompt = "UGFzc3dvcmQ6"

    mutating func received(_ line: [UInt8]) -> Step {
        if line == [UInt8(ascii: "*")] { return .cancelled }
        guard let response = Base64.decode(line) else {
            return .invalid("The response is not valid base64")
        }
        switch state {
        case .plain:
            // The response is: authorization identity, NUL, authentication identity, NUL, password. The relay ignores
            // the authorization identity.
            let parts = response.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, !parts[2].contains(0) else {
                return .invalid("The PLAIN response must be NUL, user name, NUL, password")
            }
            return .finished(Credentials(userName: Array(parts[1]), password: Array(parts[2])))
        case .loginUserName:
            state = .loginPassword(userName: response)
            return .challenge(SASLExchange.passwordPrompt)
        case .loginPassword(let userName):
            return .finished(Credentials(userName: userName, password: response))
        }
    }
}
