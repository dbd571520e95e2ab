import RelayCore
import Synchronization

/// Checks whether some parts of the relay are healthy. All are asked at the same time, and each has a limited time to
/// answer.
///
/// A part that hangs is asked only once, however often the health is requested. So the number of waiting checks is
/// bounded.
public final class Health: Sendable {
    /// A part of the relay, with its check.
    public struct Part: Sendable {
        /// The name of the part, as it is shown.
        public var name: String
        /// How long an answer may be reused, since a check may be expensive.
        public var freshFor: Duration
        /// Throws when the part is not healthy. The error is shown.
        public var ask: @Sendable () async throws -> Void

        public init(
            _ name: String, freshFor: Duration = .zero, ask: @escaping @Sendable () async throws -> Void
        ) {
            self.name = name
            self.freshFor = freshFor
            self.ask = ask
        }
    }

    /// The state of a part. It is healthy if there is no problem.
    public struct Finding: Hashable, Sendable {
        /// The name of the part.
        public var name: String
        /// What is wrong. Nil when the part is healthy.
        public var problem: String?

        public init(name: String, problem: String? = nil) {
            self.name = name
            self.problem = problem
        }
    }

    /// Why a part is not healthy.
    public struct Problem: Error, CustomStringConvertible {
        public var description: String

        public init(_ description: String) { self.description = description }
    }

    private enum Inquiry {
        case underWay(Task<String?, Never>)
        /// The part did not answer within the time limit.
        case overdue
        /// The answer may be reused until this time.
        case answered(problem: String?, until: MonotonicTime)
    }

    private let parts: [Part]
    private let limit: Duration
    private let clock: any RelayClock
    private let inquiries = Mutex<[String: Inquiry]>([:])

    /// - Parameter parts: their names must be distinct.
    public init(_ parts: [Part], clock: any RelayClock, limit: Duration = .seconds(5)) {
        self.parts = parts
        self.clock = clock
        self.limit = limit
    }

    /// Returns the findings in the order of the parts.
    public func findings() async -> [Finding] {
        await withTaskGroup(of: (Int, Finding).self) { group in
            for (index, part) in parts.enumerated() {
                group.addTask { (index, Finding(name: part.name, problem: await self.problem(of: part))) }
            }
            var findings: [(Int, Finding)] = []
            for await finding in group { findings.append(finding) }
            return findings.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func problem(of part: Part) async -> String? {
        switch inquiry(about: part) {
        case .overdue: return Health.silence
        case .answered(let problem, _): return problem
        case .underWay(let answer):
            if let problem = await within(limit, { await answer.value }) { return problem }
            inquiries.withLock { inquiries in
                if case .underWay(answer)? = inquiries[part.name] { inquiries[part.name] = .overdue }
            }
            answer.cancel()
            return Health.silence
        }
    }

    static let silence = "does not answer"

    /// Returns the check that is running, an answer that may be reused, or a new check.
    private func inquiry(about part: Part) -> Inquiry {
        inquiries.withLock { inquiries in
            switch inquiries[part.name] {
            case .underWay?, .overdue?: break
            case .answered(_, let until)? where clock.monotonicNow() < until: break
            case .answered?, nil: inquiries[part.name] = .underWay(Task { await self.ask(part) })
            }
            return inquiries[part.name] ?? .overdue
        }
    }

    private func ask(_ part: Part) async -> String? {
        var problem: String?
        do { try await part.ask() } catch { problem = "\(error)" }
        let until = clock.monotonicNow() + part.freshFor
        inquiries.withLock { [problem] in $0[part.name] = .answered(problem: problem, until: until) }
        return problem
    }
}
