import AWSClient
import Diagnosis
import Feedback
import Logging
import RelayCore
import Settings

/// Checks whether SES's events about live mail arrive.
struct FeedbackCheck: Sendable {
    let settings: RelaySettings
    let environment: [String: String]
    let records: (any RelayStore)?
    let clock: any RelayClock

    func look() async -> [Finding] {
        do throws(SQSQueueError) {
            guard let queue = try SQSQueue(settings) else {
                return [Judge.feedbackNotSet(hasLiveKeys: await hasLiveKeys())]
            }
            let state = await ask(queue)
            return Judge.feedbackQueue(queue.url, state)
                + [Judge.configurationSet(settings.ses.configurationSet)].compactMap(\.self) + (await arrivals())
        } catch {
            return [Judge.feedbackUnusable("\(error)")]
        }
    }

    private func ask(_ queue: SQSQueue) async -> Result<SQSQueueState, SQSFailure> {
        let logger = Logger(label: "hiveku-relay.doctor") { _ in SwiftLogNoOpLogHandler() }
        let client = SQSClient(
            queue: queue,
            credentials: CredentialsChain(settings.ses, environment: environment, clock: clock, logger: logger),
            connections: 1, requestTimeout: .seconds(8), clock: clock, logger: logger)
        let state = await within(Doctor.timeout) { () -> Result<SQSQueueState, SQSFailure> in
            do throws(SQSFailure) { return .success(try await client.state()) } catch { return .failure(error) }
        }
        await client.shutdown()
        return state ?? .failure(SQSFailure(.unreachable, "it does not answer"))
    }

    /// Whether there are live keys. False if that can't be found out; another check reports why.
    private func hasLiveKeys() async -> Bool {
        guard let records else { return false }
        let now = clock.now()
        let keys = await within(Doctor.timeout) {
            try? await records.keyRecords(includingRevoked: false, now: now).map(\.key)
        }
        return (keys ?? nil).map { !Judge.liveKeys($0, now: now).isEmpty } ?? false
    }

    private func arrivals() async -> [Finding] {
        guard let records else { return [Judge.withoutRecords(.feedback)] }
        let now = clock.now()
        let standing = await within(Doctor.timeout) { () -> FeedbackStanding? in
            guard let status = try? await records.feedbackStatus(), let times = try? await records.feedbackTimes()
            else { return nil }
            return FeedbackStanding(
                isSet: true, status: status, lastEvent: times.lastEvent, lastSent: times.lastSent, now: now)
        }
        guard let standing, let standing else { return [Judge.failed(.feedback, "the database does not answer")] }
        return Judge.feedback(standing)
    }
}
