import Diagnosis
import InternetMessage
import RelayCore
import Settings

/// Inspects a database and its content. Creates and changes nothing.
protocol DatabaseInspection: Sendable {
    /// Opens a store to read records from. Nil if that is not possible; ``look()`` reports the reason.
    func records() async -> (any RelayStore)?
    func look() async -> [Finding]
}

/// Makes all checks at the same time, each with a time limit, and reports the findings in a fixed order.
struct Doctor: Sendable {
    let settings: RelaySettings
    let environment: [String: String]
    let clock: any RelayClock

    static let timeout = Duration.seconds(10)

    func findings() async -> [Finding] {
        // The checks that share these results await them.
        let certificates = Task { await CertificateCheck(settings: settings, clock: clock).look() }
        let database: any DatabaseInspection =
            switch settings.database {
            case .sqlite(let path): DatabaseCheck(path: path, storage: settings.storage)
            case .postgresql(let place): ServerCheck(place: place, settings: settings, clock: clock)
            }
        let records = Task { await database.records() }
        let reach = ReachCheck(directory: settings.stateDirectory)
        let checks: [(name: String, look: @Sendable () async -> [Finding])] = [
            ("certificate", { await certificates.value.findings }),
            ("host name", { [await HostNameCheck.look(at: settings.hostname)] }),
            (
                "listeners",
                {
                    await ListenerCheck(settings: settings, clock: clock).look(
                        known: await certificates.value.fingerprints)
                }
            ),
            ("database", { await database.look() }),
            ("queue", { await QueueCheck(records: await records.value, clock: clock).look() }),
            ("keys", { await KeyRecordsCheck(records: await records.value, clock: clock).look() }),
            (
                "SES",
                {
                    await SESCheck(
                        settings: settings.ses, bouncesFrom: settings.bounces.from?.text, environment: environment,
                        records: await records.value, reach: reach, clock: clock
                    ).look()
                }
            ),
            (
                "feedback",
                {
                    await FeedbackCheck(
                        settings: settings, environment: environment, records: await records.value, clock: clock
                    ).look()
                }
            ),
            (
                "bounces",
                {
                    Judge.bounces(
                        from: settings.bounces.from?.text, forEvents: settings.bounces.forEvents,
                        hearsEvents: settings.feedback.queueURL != nil)
                }
            ),
        ]
        let progress = Progress(checks.map(\.name))
        let findings = await withTaskGroup(of: (Int, [Finding]).self) { group in
            for (index, check) in checks.enumerated() {
                group.addTask {
                    let findings = await check.look()
                    progress.ended(check.name)
                    return (index, findings)
                }
            }
            var byCheck: [Int: [Finding]] = [:]
            for await (index, findings) in group { byCheck[index] = findings }
            return checks.indices.flatMap { byCheck[$0] ?? [] }
        }
        progress.clear()
        return findings
    }
}
