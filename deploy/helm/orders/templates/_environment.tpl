{{/*
The Secrets of a process besides that of its database: the volume, the Secret, the file in it, and the variable that names the
file. Takes the key of the process and the context.
*/}}
{{- define "orders.secrets" -}}
{{- $values := .context.Values -}}
{{- $secrets := list -}}
{{- with $values.auth.jwksSecret -}}
{{- $secrets = append $secrets (dict "volume" "issuer" "secret" . "file" "jwks.json" "variable" "AUTH_JWKS_FILE") -}}
{{- end -}}
{{- with $values.traces.headersSecret -}}
{{- $file := "OTEL_EXPORTER_OTLP_HEADERS_FILE" -}}
{{- $secrets = append $secrets (dict "volume" "traces" "secret" . "file" "headers" "variable" $file) -}}
{{- end -}}
{{- if eq .key "readApi" -}}
{{- $read := $values.readApi -}}
{{- $file := "CURSOR_KEY_FILE" -}}
{{- $secrets = append $secrets (dict "volume" "cursors" "secret" $read.cursorSecret "file" "cursor_key" "variable" $file) -}}
{{- with $read.previousCursorSecret -}}
{{- $file = "CURSOR_KEY_PREVIOUS_FILE" -}}
{{- $secrets = append $secrets (dict "volume" "cursors-previous" "secret" . "file" "cursor_key" "variable" $file) -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end }}

{{/* The variables of a process. Takes its key, its values and the context. */}}
{{- define "orders.environment" -}}
{{- $auth := .context.Values.auth -}}
- { name: DATABASE_URL_FILE, value: /etc/orders/database_url }
- { name: BIND_ADDRESS, value: 0.0.0.0 }
- { name: PORT, value: {{ .values.port | quote }} }
- { name: ADMIN_ADDRESS, value: 0.0.0.0 }
- { name: ADMIN_PORT, value: {{ .values.adminPort | quote }} }
- { name: AUTH, value: jwt }
- { name: AUTH_ISSUER, value: {{ required "auth.issuer is required" $auth.issuer | quote }} }
- { name: AUTH_AUDIENCE, value: {{ required "auth.audience is required" $auth.audience | quote }} }
{{- if not $auth.jwksSecret }}
- { name: AUTH_JWKS_URL, value: {{ required "auth.jwksUrl or auth.jwksSecret is required" $auth.jwksUrl | quote }} }
{{- end }}
{{- with .context.Values.trustedProxies }}
- { name: TRUSTED_PROXIES, value: {{ . | quote }} }
{{- end }}
{{- with .context.Values.traces.endpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- range include "orders.secrets" (dict "key" .key "context" .context) | fromJsonArray }}
- { name: {{ .variable }}, value: /etc/orders-{{ .volume }}/{{ .file }} }
{{- end }}
{{- range $name, $value := .values.env }}
{{- /* As JSON, because a large number would become 2e+08. */}}
- { name: {{ $name }}, value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }} }
{{- end }}
{{- end }}
