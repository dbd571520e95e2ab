import Diagnosis
import RelayCore

/// Checks the queue.
struct QueueCheck: Sendable {
    let records: (any RelayStore)?
    let clock: any RelayClock

    func look() async -> [Finding] {
        guard let records else { return [Judge.withoutRecords(.queue)] }
        let now = (records.clock ?? clock).now()
        return await answer(.queue) { Judge.queue(try await records.queueStatus(now: now), now: now) }
    }
}

/// Checks the keys.
struct KeyRecordsCheck: Sendable {
    let records: (any RelayStore)?
    let clock: any RelayClock

    func look() async -> [Finding] {
        guard let records else { return [Judge.withoutRecords(.keys)] }
        let now = (records.clock ?? clock).now()
        return await answer(.keys) {
            let keys = try await records.keyRecords(includingRevoked: false, now: now)
            return Judge.keys(keys.map(\.key), now: now) + Judge.standing(keys)
        }
    }
}

/// Runs `question`, with a time limit. If it fails, the findings say why.
private func answer(
    _ subject: Finding.Subject, _ question: @escaping @Sendable () async throws -> [Finding]
) async -> [Finding] {
    let findings = await within(Doctor.timeout) { () -> [Finding] in
        do {
            return try await question()
        } catch {
            return [Judge.failed(subject, "\(error)")]
        }
    }
    return findings ?? [Judge.failed(subject, "the database does not answer")]
}
