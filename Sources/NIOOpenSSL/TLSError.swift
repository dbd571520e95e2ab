internal import COpenSSL

/// An error on one TLS connection.
///
/// The description is meant for a log line. It names the alert or OpenSSL's reason. If the failure is about what the
/// client offered, the description names that too. It contains no key material and no application data.
public struct TLSError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure. Later versions may add kinds, so a `switch` over them needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Base: Hashable, Sendable, CaseIterable {
            case handshakeFailed, notBegun, notTLS, truncated, protocolViolation, alertReceived, closed, limitExceeded
            case internalFailure
        }
        private let base: Base

        /// All kinds.
        public static var all: [Code] { Base.allCases.map(Code.init) }

        /// Client and server reached no agreement, or the client left before the end of the handshake.
        public static let handshakeFailed = Code(base: .handshakeFailed)
        /// The client left without sending anything, as a program that only checks whether a port is open does.
        public static let notBegun = Code(base: .notBegun)
        /// The client began with something that is not TLS, such as a command in plain text.
        public static let notTLS = Code(base: .notTLS)
        /// The TCP stream ended (FIN or RST) without `close_notify`. An attacker in between may have cut off the data
        /// (RFC 8446, section 6.1).
        public static let truncated = Code(base: .truncated)
        /// After the handshake the peer sent data that is not TLS, or a record that can't be decrypted.
        public static let protocolViolation = Code(base: .protocolViolation)
        /// The peer ended the connection with a fatal alert (RFC 8446, section 6.2).
        public static let alertReceived = Code(base: .alertReceived)
        /// The application wrote or closed after the connection was closed or had failed.
        public static let closed = Code(base: .closed)
        /// A limit was exceeded: on what the peer sent before the end of its handshake, on what waits to be sent, or on
        /// what the peer made the server answer.
        public static let limitExceeded = Code(base: .limitExceeded)
        /// OpenSSL failed for an internal reason, such as lack of memory.
        public static let internalFailure = Code(base: .internalFailure)

        /// The stable name of the code, for metrics.
        public var description: String { "\(self.base)" }
    }

    /// The kind of failure.
    public var code: Code
    /// A sentence about what happened.
    public var message: String
    /// The number of the fatal alert that the peer sent (RFC 8446, section 6), or nil.
    public var alert: UInt8?
    /// The source file (`#fileID`) in which this module created the error.
    public var file: String
    /// The number of the line in `file`.
    public var line: Int

    init(_ code: Code, _ message: String, alert: UInt8? = nil, file: String = #fileID, line: Int = #line) {
        self.code = code
        self.message = message
        self.alert = alert
        self.file = file
        self.line = line
    }

    public var description: String { self.message }

    static func closed(
        _ message: String = "the TLS connection is closed", file: String = #fileID, line: Int = #line
    ) -> TLSError {
        TLSError(.closed, message, file: file, line: line)
    }
}

/// OpenSSL's error queue. It belongs to the thread, not to the connection.
///
/// Code that calls OpenSSL must call ``clear()`` first. Otherwise an error that one connection left would make
/// `SSL_get_error` blame the next connection on the same event loop.
enum OpenSSLErrorQueue {
    struct Entry {
        var code: UInt
        var text: String

        /// Whether the error comes from OpenSSL's TLS layer and is specific: `reason` is one of `SSL_R_…` or names an
        /// alert. Reasons that all layers share ("internal error") have flags in their upper bits.
        var isTLS: Bool { COpenSSL_ERR_GET_LIB(self.code) == ERR_LIB_SSL && self.reason < 1 << ERR_RFLAGS_OFFSET }
        var reason: Int32 { COpenSSL_ERR_GET_REASON(self.code) }
    }

    static func clear() { ERR_clear_error() }

    /// Removes all errors from the queue, and returns at most the first four of them. The first one is the cause.
    static func drain() -> [Entry] {
        var entries: [Entry] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return entries }
            // OpenSSL keeps at most 16 errors. The first four explain as much as all of them.
            guard entries.count < 4 else { continue }
            let text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "OpenSSL error \(code)"
            entries.append(Entry(code: code, text: text))
        }
    }

    /// Drains the queue and returns its errors as one line.
    static func drainedText() -> String {
        let entries = Self.drain()
        return entries.isEmpty ? "unknown OpenSSL error" : entries.map(\.text).joined(separator: "; ")
    }
}
