import FuzzDriver
import ListeningProperties
import SESProperties
import SettingsProperties

@main
enum Main {
    static func main() { fuzz([.settings, .answer, .proxy]) }
}
