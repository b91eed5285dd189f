// Renders Ollama templates with Go's own text/template, the way Ollama does it (template/template.go, version 0.33):
// the option missingkey=zero, messages of one role in a row joined, values in a map with Messages and System.
// Reads [{"template", "messages": [{"Role", "Content"}]}] from stdin and writes the list of texts.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type message struct{ Role, Content string }

type request struct {
	Template string    `json:"template"`
	Messages []message `json:"messages"`
}

func collate(messages []message) (string, []*message) {
	var system []string
	var collated []*message
	for i := range messages {
		if messages[i].Role == "system" {
			system = append(system, messages[i].Content)
		}
		if len(collated) > 0 && collated[len(collated)-1].Role == messages[i].Role {
			collated[len(collated)-1].Content += "\n\n" + messages[i].Content
		} else {
			collated = append(collated, &messages[i])
		}
	}
	return strings.Join(system, "\n\n"), collated
}

func render(r request) (string, error) {
	parsed, err := template.New("").Option("missingkey=zero").Parse(r.Template)
	if err != nil {
		return "", err
	}
	system, messages := collate(r.Messages)
	var out bytes.Buffer
	err = parsed.Execute(&out, map[string]any{"System": system, "Messages": messages, "Response": ""})
	return out.String(), err
}

func main() {
	var requests []request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		panic(err)
	}
	texts := []string{}
	for _, r := range requests {
		text, err := render(r)
		if err != nil {
			text = "ERROR: " + err.Error()
		}
		texts = append(texts, text)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(texts); err != nil {
		panic(err)
	}
}
