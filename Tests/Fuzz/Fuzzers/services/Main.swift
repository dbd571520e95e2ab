import FeedbackProperties
import FuzzDriver
import HTTPProperties
import ListeningProperties
import ResolverProperties
import SESProperties
import SettingsProperties

@main
enum Main {
    static func main() { fuzz([.settings, .answer, .proxy, .json, .request, .template, .event, .dns]) }
}
