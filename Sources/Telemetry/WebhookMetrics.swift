import Metrics
import PrometheusMetrics
import RelayCore
import Webhooks

/// Counts the calls of webhooks, by outcome.
struct WebhookMetrics: Sendable {
    private enum Outcome: String, CaseIterable {
        case delivered, retried, failed, gone

        init(_ verdict: WebhookAttempt.Verdict) {
            self =
                switch verdict {
                case .delivered: .delivered
                case .retry: .retried
                case .failed: .failed
                case .gone: .gone
                }
        }
    }

    private let calls: [Outcome: Counter]
    private let seconds: Recorder
    private let disabled: Counter

    init(_ registry: PrometheusRegistry) {
        calls = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map { outcome in
                (outcome, registry.counter(Catalogue.webhookCalls, [("outcome", outcome.rawValue)]))
            })
        seconds = registry.histogram(Catalogue.webhookSeconds)
        disabled = registry.counter(Catalogue.webhooksDisabled)
    }

    func observe(_ event: WebhookDispatcher.Event) {
        switch event {
        case .attempted(let verdict, let duration):
            calls[Outcome(verdict)]?.increment()
            seconds.record(duration)
        case .disabled: disabled.increment()
        }
    }
}
