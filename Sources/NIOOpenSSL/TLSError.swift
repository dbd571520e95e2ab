internal import COpenSSL

/// What went wrong on one TLS connection.
///
/// The description is meant for a log line: it names the alert, or OpenSSL's reason, and what the client offered where
/// that explains the failure. It holds no key material and no application data.
public struct TLSError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure. More may follow; a `switch` over them needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Base: Hashable, Sendable, CaseIterable {
            case handshakeFailed, notBegun, notTLS, truncated, protocolViolation, alertReceived, closed, limitExceeded
            case internalFailure
        }
        private let base: Base

        /// All that there are.
        public static var all: [Code] { Base.allCases.map(Code.init) }

        /// The handshake came to no agreement, or the client left before its end.
        public static let handshakeFailed = Code(base: .handshakeFailed)
        /// The client left without having sent anything: who looks whether a port is open does so.
        public static let notBegun = Code(base: .notBegun)
        /// The client began with something that is not TLS, such as a command in plain text.
        public static let notTLS = Code(base: .notTLS)
        /// The TCP stream ended (FIN or RST) without `close_notify`: what was received may have been cut off by
        /// somebody between (RFC 8446, section 6.1).
        public static let truncated = Code(base: .truncated)
        /// After the handshake the peer sent what is not TLS, or a record that does not decrypt.
        public static let protocolViolation = Code(base: .protocolViolation)
        /// The peer ended the connection with a fatal alert (RFC 8446, section 6.2).
        public static let alertReceived = Code(base: .alertReceived)
        /// A write or close came after the connection was closed or had failed.
        public static let closed = Code(base: .closed)
        /// More than is allowed: what the peer sent before the end of its handshake, what the application held back, or
        /// what the peer made the server answer.
        public static let limitExceeded = Code(base: .limitExceeded)
        /// OpenSSL failed for a reason of its own, such as want of memory.
        public static let internalFailure = Code(base: .internalFailure)

        /// The name of the code, stable: for metrics.
        public var description: String { "\(self.base)" }
    }

    /// The kind of failure.
    public var code: Code
    /// What happened, in words.
    public var message: String
    /// The number of the fatal alert that the peer sent (RFC 8446, section 6), if it sent one.
    public var alert: UInt8?
    /// Where in this module the error was made.
    public var file: String
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

/// OpenSSL's queue of errors, which belongs to the thread and not to the connection.
///
/// Whatever calls OpenSSL calls ``clear()`` first: an error that one connection left behind would otherwise make
/// `SSL_get_error` blame the next connection on the same event loop.
enum OpenSSLErrorQueue {
    struct Entry {
        var code: UInt
        var text: String

        /// Whether the error comes from the TLS part of OpenSSL and says what it is: `reason` is one of `SSL_R_…`, or tells an alert.
        /// Reasons that all parts share ("internal error") have flags in their upper bits.
        var isTLS: Bool { COpenSSL_ERR_GET_LIB(self.code) == ERR_LIB_SSL && self.reason < 1 << ERR_RFLAGS_OFFSET }
        var reason: Int32 { COpenSSL_ERR_GET_REASON(self.code) }
    }

    static func clear() { ERR_clear_error() }

    /// Takes all errors out of the queue, the first (the cause) at the front.
    static func drain() -> [Entry] {
        var entries: [Entry] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return entries }
            // OpenSSL keeps 16 errors at most; four explain as much.
            guard entries.count < 4 else { continue }
            let text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "OpenSSL error \(code)"
            entries.append(Entry(code: code, text: text))
        }
    }

    /// The drained queue as one line.
    static func drainedText() -> String {
        let entries = Self.drain()
        return entries.isEmpty ? "unknown OpenSSL error" : entries.map(\.text).joined(separator: "; ")
    }
}
