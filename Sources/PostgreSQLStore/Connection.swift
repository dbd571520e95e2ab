import CPostgreSQL
import Glibc
import RelayCore

/// One connection to the server, in pipeline mode (PostgreSQL documentation, "Pipeline Mode"): statements are queued,
/// and sent together when their results are needed.
///
/// Every call blocks until the server has answered or the deadline is reached. Only one thread may use it at a time.
final class Connection {
    private let pointer: OpaquePointer
    /// The names of the statements that the server has prepared on this connection.
    private var prepared: [String: String] = [:]
    /// What was queued since the last ``results()``, in order.
    private var queued: [Queued] = []
    /// The SQLSTATEs of the server's warnings since the last ``takeWarnings()``.
    private let notices = Notices()
    /// Whether statements are prepared under names, which is cheaper. If not, they are parsed each time, as a pooler in
    /// transaction mode requires.
    private let namesStatements: Bool
    /// When the caller gives up. After that the connection can't be used any more.
    private var deadline = MonotonicTime.distantPast
    /// Whether the server has sent any answer since ``begin(until:)``.
    private(set) var hasAnswered = false
    private(set) var isLost = false
    /// The position of the server in the connector's list.
    let host: Int
    /// The server's host and port, which errors name.
    let name: String
    private let clock = SystemClock()

    private enum Queued {
        /// The preparation of a statement.
        case preparation(String)
        case statement
    }

    /// The most statements that are kept prepared. Others are parsed each time.
    static let mostPrepared = 300

    /// Connects within a few seconds, or fails.
    ///
    /// - Throws: ``ServerError/lost(_:)``.
    init(_ parameters: [(keyword: String, value: String)], host: Int, name: String, namesStatements: Bool) throws {
        self.host = host
        self.name = name
        self.namesStatements = namesStatements
        let made = withNullTerminated(parameters.map(\.keyword)) { keywords in
            withNullTerminated(parameters.map(\.value)) { pq_connect(keywords, $0, 0) }
        }
        guard let made else { throw ServerError.lost("no memory for a connection") }
        guard pq_status(made) == PQ_CONNECTION_OK, pq_set_nonblocking(made, 1) == 0, pq_enter_pipeline_mode(made) == 1
        else {
            let why = Connection.oneLine(pq_error_message(made))
            pq_finish(made)
            throw ServerError.lost(why)
        }
        pointer = made
        _ = pq_set_notice_receiver(
            pointer,
            { argument, result in
                guard let argument, let result else { return }
                // The connection keeps the object alive for as long as it makes this call.
                let notices = Unmanaged<Notices>.fromOpaque(argument).takeUnretainedValue()
                notices.add(
                    state: pq_result_error_field(result, CInt(PQ_SQLSTATE)).map { String(cString: $0) } ?? "",
                    severity: pq_result_error_field(result, CInt(PQ_SEVERITY_NONLOCALIZED)).map { String(cString: $0) }
                        ?? "")
            }, Unmanaged.passUnretained(notices).toOpaque())
    }

    deinit { pq_finish(pointer) }

    /// The value of `server_version_num`: 150018 is 15.18.
    var serverVersion: Int { Int(pq_server_version(pointer)) }

    /// Begins a unit of work. If the work has not ended at the deadline, it fails, and the connection is lost.
    func begin(until deadline: MonotonicTime) {
        self.deadline = deadline
        hasAnswered = false
    }

    // MARK: Statements

    /// Queues a statement. ``results()`` returns its result.
    func queue(_ sql: String, _ parameters: [any ParameterValue] = []) throws {
        guard !isLost else { throw ServerError.lost("the connection was lost") }
        var encoded: [UInt8] = []
        encoded.reserveCapacity(parameters.reduce(0) { $0 + $1.size } + 64)
        var places: [Range<Int>?] = []
        for parameter in parameters {
            let start = encoded.count
            guard !parameter.isNull else {
                places.append(nil)
                continue
            }
            parameter.encode(into: &encoded)
            places.append(start..<encoded.count)
        }
        // One more octet, so that an empty value at the end has an address.
        encoded.append(0)
        let types = parameters.map { Swift.type(of: $0).type }
        let formats = [CInt](repeating: 1, count: parameters.count)
        let lengths = places.map { CInt($0?.count ?? 0) }
        let name = try preparedName(sql, types)
        let isSent = encoded.withUnsafeBytes { buffer in
            let start = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values: [UnsafePointer<CChar>?] = places.map { place in
                place.flatMap { start?.advanced(by: $0.lowerBound) }
            }
            if let name {
                return pq_send_prepared(pointer, name, CInt(parameters.count), values, lengths, formats, 1)
            }
            return pq_send_params(pointer, sql, CInt(parameters.count), types, values, lengths, formats, 1)
        }
        guard isSent == 1 else { throw lose() }
        queued.append(.statement)
    }

    private func preparedName(_ sql: String, _ types: [UInt32]) throws -> String? {
        guard namesStatements else { return nil }
        if let name = prepared[sql] { return name }
        guard prepared.count < Connection.mostPrepared else { return nil }
        let name = "hiveku_\(prepared.count)"
        guard pq_send_prepare(pointer, name, sql, CInt(types.count), types) == 1 else { throw lose() }
        prepared[sql] = name
        queued.append(.preparation(sql))
        return name
    }

    /// Sends the queued statements and waits for their results: one result for each statement.
    ///
    /// - Throws: ``ServerError`` with the first refusal. The statements after it were not run.
    func results() throws -> [QueryResult] {
        guard !isLost else { throw ServerError.lost("the connection was lost") }
        guard pq_pipeline_sync(pointer) == 1 else { throw lose() }
        let expected = queued
        queued = []
        var found: [QueryResult] = []
        var refusal: ServerError?
        for entry in expected {
            let result = try nextResult()
            hasAnswered = true
            // Each statement's results end with a null.
            try skipEnd()
            switch entry {
            case .preparation(let sql):
                if pq_result_status(result) != PQ_COMMAND_OK {
                    prepared[sql] = nil
                    refusal = refusal ?? self.refusal(result)
                }
                pq_clear(result)
            case .statement:
                switch pq_result_status(result) {
                case PQ_COMMAND_OK, PQ_TUPLES_OK, PQ_EMPTY_QUERY: found.append(QueryResult(result))
                default:
                    refusal = refusal ?? self.refusal(result)
                    pq_clear(result)
                }
            }
        }
        let end = try nextResult()
        defer { pq_clear(end) }
        guard pq_result_status(end) == PQ_PIPELINE_SYNC else { throw refusal ?? lose() }
        if let refusal { throw refusal }
        return found
    }

    /// Reads and discards the results of the queued statements, so that the next call does not get them.
    func dropQueued() {
        guard !queued.isEmpty, !isLost else { return }
        _ = try? results()
    }

    /// Runs the statements that were queued before, and then `sql`. Returns the result of `sql`.
    @discardableResult
    func run(_ sql: String, _ parameters: [any ParameterValue] = []) throws -> QueryResult {
        try queue(sql, parameters)
        guard let last = try results().last else { throw ServerError.lost("a statement has no result") }
        return last
    }

    func rows<T>(
        _ sql: String, _ parameters: [any ParameterValue] = [], _ body: (ResultRow) throws -> T
    ) throws -> [T] {
        try run(sql, parameters).map(body)
    }

    func first<T>(
        _ sql: String, _ parameters: [any ParameterValue] = [], _ body: (ResultRow) throws -> T
    ) throws -> T? {
        try run(sql, parameters).first.map(body)
    }

    /// The first column of the first row; nil if there is no row, or if the column is null.
    func integer(_ sql: String, _ parameters: [any ParameterValue] = []) throws -> Int64? {
        try run(sql, parameters).first?.integer(0)
    }

    /// Whether the first column of the first row is true.
    func isTrue(_ sql: String, _ parameters: [any ParameterValue] = []) throws -> Bool {
        try run(sql, parameters).first?.boolean(0) ?? false
    }

    /// Runs the statement. Returns how many rows it inserted, changed or deleted.
    @discardableResult
    func execute(_ sql: String, _ parameters: [any ParameterValue] = []) throws -> Int {
        try run(sql, parameters).affected
    }

    /// The SQLSTATEs of the warnings since the last call.
    func takeWarnings() -> [String] { notices.take() }

    // MARK: Octets

    private func nextResult() throws -> OpaquePointer {
        while true {
            let isFlushing = pq_flush(pointer)
            guard isFlushing >= 0 else { throw lose() }
            guard pq_is_busy(pointer) == 1 else { break }
            try wait(forWriting: isFlushing == 1)
            guard pq_consume_input(pointer) == 1 else { throw lose() }
        }
        // A null here would be the end of a statement without a result, which does not occur.
        guard let result = pq_get_result(pointer) else { throw lose() }
        if pq_status(pointer) != PQ_CONNECTION_OK {
            let error = refusal(result)
            pq_clear(result)
            isLost = true
            if case .refused(_, let message) = error { throw ServerError.lost(message) }
            throw error
        }
        return result
    }

    private func skipEnd() throws {
        while pq_is_busy(pointer) == 1 {
            try wait(forWriting: false)
            guard pq_consume_input(pointer) == 1 else { throw lose() }
        }
        if let more = pq_get_result(pointer) {
            pq_clear(more)
            throw lose()
        }
    }

    private func wait(forWriting: Bool) throws {
        var descriptor = pollfd(
            fd: pq_socket(pointer), events: Int16(POLLIN) | (forWriting ? Int16(POLLOUT) : 0), revents: 0)
        let left = deadline.seconds(since: clock.monotonicNow())
        let ready = left > 0 ? poll(&descriptor, 1, CInt(min(left * 1000, 600_000).rounded(.up))) : 0
        if ready > 0 || (ready < 0 && errno == EINTR) { return }
        isLost = true
        throw ServerError.lost(
            ready == 0
                ? "PostgreSQL has not answered in time (server \(name))"
                : "waiting for PostgreSQL (server \(name)): \(String(cString: strerror(errno)))")
    }

    private func lose() -> ServerError {
        isLost = true
        return .lost(named(Connection.oneLine(pq_error_message(pointer))))
    }

    /// An error text with the server's name, because a relay may know several servers.
    private func named(_ message: String) -> String { "\(message) (server \(name))" }

    /// The error of a failed result, without PostgreSQL's details, which may contain addresses.
    private func refusal(_ result: OpaquePointer) -> ServerError {
        let message = named(
            pq_result_error_field(result, CInt(PQ_MESSAGE_PRIMARY)).map { String(cString: $0) }
                ?? Connection.oneLine(pq_error_message(pointer)))
        guard let state = pq_result_error_field(result, CInt(PQ_SQLSTATE)).map({ String(cString: $0) }) else {
            isLost = true
            return .lost(message)
        }
        return .refused(state: state, message: message)
    }

    private static func oneLine(_ text: UnsafePointer<CChar>?) -> String {
        let lines = text.map { String(cString: $0) }?.split(whereSeparator: \.isNewline) ?? []
        let line = lines.map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: "; ")
        return line.isEmpty ? "the connection to PostgreSQL was lost" : line
    }
}

/// The warnings of one connection. Only the thread that uses the connection gets the callbacks.
private final class Notices {
    private var states: [String] = []

    func add(state: String, severity: String) {
        guard severity == "WARNING", states.count < 100 else { return }
        states.append(state)
    }

    func take() -> [String] {
        defer { states = [] }
        return states
    }
}

/// Calls `body` with an array of C strings that ends with a null.
private func withNullTerminated<T>(_ texts: [String], _ body: ([UnsafePointer<CChar>?]) -> T) -> T {
    let copies = texts.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    return body(copies.map { UnsafePointer($0) } + [nil])
}
