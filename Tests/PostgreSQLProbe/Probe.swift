import Glibc
import PostgreSQLStore
import RelayCore
import TestSupport

/// Runs the PostgreSQL store without the rest of the relay, for Benchmarks/postgresql.py. Prints its results as JSON.
///
/// - `accept URL BATCH MESSAGES [KEYS] [SIZE]`: batches are accepted, one after the other.
/// - `cycle URL MESSAGES WINDOW`: messages are accepted, claimed and settled, 50 at a time. Prints a line for each
///   WINDOW messages.
/// - `body URL MEBIBYTES TIMES`: large bodies are stored and accepted.
@main
enum Probe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4 else {
            print(
                "usage: postgresql-probe accept URL BATCH MESSAGES [KEYS] [SIZE] | cycle URL MESSAGES WINDOW | body URL MEBIBYTES TIMES"
            )
            exit(64)
        }
        func number(_ place: Int, _ otherwise: Int) -> Int {
            arguments.count > place ? Int(arguments[place]) ?? otherwise : otherwise
        }
        let store = try PostgreSQLStore(arguments[2], role: .relay(name: "probe", version: "0"))
        defer { try? store.close() }
        switch arguments[1] {
        case "accept":
            try await accept(
                store, batch: number(3, 20), messages: number(4, 10_000), keys: number(5, 10), size: number(6, 4096))
        case "cycle": try await cycle(store, messages: number(3, 10_000), window: number(4, 1000))
        case "body": try await body(store, mebibytes: number(3, 25), times: number(4, 4))
        default: exit(64)
        }
    }

    private static func processorSeconds() -> Double {
        var used = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &used)
        return Double(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
            + Double(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6
    }

    // MARK: Messages

    /// Makes submissions of `count` keys. Each submission has different octets.
    private struct Source {
        let keys: [KeyID]
        private let size: Int
        private let pool: [UInt8]
        private var ids: MessageIDGenerator
        private let store: PostgreSQLStore

        init(_ store: PostgreSQLStore, keys count: Int, size: Int, environment: RelayCore.Environment = .live)
            async throws
        {
            self.store = store
            self.size = size
            var random = SystemRandomNumberGenerator()
            var keys: [KeyID] = []
            for _ in 0..<count {
                let secret = APIKey(generating: environment, using: &random)
                let key = Key(
                    id: secret.id, name: "probe", environment: environment, scopes: [.send],
                    createdAt: SystemClock().now())
                try await store.insertKey(StoredKey(key: key, digest: secret.digest))
                keys.append(secret.id)
            }
            self.keys = keys
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
            pool = (0..<(size + 1_000_000)).map { _ in alphabet[Int(random.next(upperBound: UInt(64)))] }
            ids = MessageIDGenerator(after: store.newestMessage)
        }

        mutating func next(_ count: Int) -> [Submission] {
            let now = SystemClock().now()
            return (0..<count).map { index in
                let id = ids.next(at: now, instance: store.instance)
                let start = Int.random(in: 0..<1_000_000)
                var submission = Sample.submission(
                    id, key: keys[index % keys.count], recipients: ["recipient@example.org"],
                    body: Array(pool[start..<start + size]), subject: "Your order 12345 has been shipped", at: now)
                submission.fingerprint = Fingerprint(key: keys[index % keys.count], idempotencyKey: "\(id)")
                return submission
            }
        }
    }

    private static func take(_ batch: [Submission], _ store: PostgreSQLStore) async throws {
        let outcomes = try await store.accept(batch, now: SystemClock().now())
        guard outcomes.allSatisfy({ $0 == .accepted }) else { throw StoreError.unavailable("not accepted") }
    }

    // MARK: Modes

    private static func accept(
        _ store: PostgreSQLStore, batch: Int, messages: Int, keys: Int, size: Int
    ) async throws {
        var source = try await Source(store, keys: keys, size: size)
        // This lets the server make its query plans, and fills the processor's caches.
        for _ in 0..<20 { try await take(source.next(batch), store) }
        print("ready")
        fflush(nil)
        _ = readLine()
        let clock = SystemClock()
        let (began, own) = (clock.monotonicNow(), processorSeconds())
        var done = 0
        while done < messages {
            let submissions = source.next(min(batch, messages - done))
            try await take(submissions, store)
            done += submissions.count
        }
        let seconds = clock.monotonicNow().seconds(since: began)
        let used = (processorSeconds() - own) / Double(messages) * 1e6
        print(#"{"messages": \#(messages), "seconds": \#(seconds), "own_microseconds": \#(used)}"#)
        fflush(nil)
        _ = readLine()
    }

    /// The number of waiting messages stays the same, so that each claim finds as many as the one before.
    private static func cycle(_ store: PostgreSQLStore, messages: Int, window: Int) async throws {
        var source = try await Source(store, keys: 10, size: 1024)
        for _ in 0..<20 { try await take(source.next(50), store) }
        let clock = SystemClock()
        var times: [Double] = []
        var done = 0
        var began = clock.monotonicNow()
        while done < messages {
            try await take(source.next(50), store)
            let start = clock.monotonicNow()
            let now = clock.now()
            let claim = try await store.claim(
                lane: .live, limit: 50, recipients: .max, leaseUntil: now + .seconds(60), now: now)
            times.append(clock.monotonicNow().seconds(since: start))
            try await store.settle(
                claim.deliveries.map {
                    Settlement(
                        delivery: $0.id, result: .sent(sesMessageID: "\($0.id.rawValue)"), startedAt: now,
                        finishedAt: clock.now())
                })
            done += claim.deliveries.count
            guard done.isMultiple(of: window) || done >= messages else { continue }
            times.sort()
            let (p50, p99) = (times[times.count / 2], times[min(times.count * 99 / 100, times.count - 1)])
            let seconds = clock.monotonicNow().seconds(since: began)
            print(
                #"{"done": \#(done), "seconds": \#(seconds), "p50_ms": \#(p50 * 1000), "p99_ms": \#(p99 * 1000), "mean_ms": \#(times.reduce(0, +) / Double(times.count) * 1000)}"#
            )
            fflush(nil)
            times = []
            began = clock.monotonicNow()
        }
    }

    private static func body(_ store: PostgreSQLStore, mebibytes: Int, times: Int) async throws {
        var source = try await Source(store, keys: 1, size: 1024)
        print("ready")
        fflush(nil)
        _ = readLine()
        let piece = [UInt8](repeating: 0, count: 128 << 10).map { _ in UInt8.random(in: 32...126) }
        for _ in 0..<times {
            var submission = source.next(1)[0]
            let file = try await store.makeSpoolFile(for: submission.id)
            for _ in 0..<(mebibytes * 8) { try await file.append(piece) }
            submission.body = .spooled(try await file.finish())
            try await take([submission], store)
        }
        print(#"{"mebibytes": \#(mebibytes * times)}"#)
        fflush(nil)
        _ = readLine()
    }
}
