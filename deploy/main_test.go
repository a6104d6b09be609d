package deploy

import (
	"testing"

	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
